"""Published weights: found in the libraries' folders, fetched, or named when out of reach."""

import hashlib
import importlib
import socket
import sys
from urllib.error import URLError

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models as torchvision_models

from heatmap.errors import ModelError
from heatmap.networks import hub as downloads
from heatmap.networks.hub import fetch_hub, fetch_url
from heatmap.networks.load import load_classifier
from heatmap.progress import ProgressBar, progress_bar
from tests.support.networks import scores_of, varied


@pytest.fixture
def checkpoints_folder(tmp_path, monkeypatch):
    """Torch's download folder, empty, with no way to the network."""

    def unreachable(*_args, **_kwargs):
        raise URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    return tmp_path / "torch" / "hub" / "checkpoints"


class TestDefault:
    @pytest.mark.parametrize(
        ("name", "file_name"),
        [
            ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
            # Its layers refuse weights that do not say their version.
            ("mnasnet0_5", "mnasnet0.5_top1_67.823-3ffadce67e.pth"),
        ],
    )
    def test_torchvision_file_in_its_folder(self, checkpoints_folder, name, file_name):
        original = varied(torchvision_models.get_model(name))
        checkpoints_folder.mkdir(parents=True)
        torch.save(original.state_dict(), checkpoints_folder / file_name)
        found = load_classifier(name)
        assert torch.equal(scores_of(found.module), scores_of(original))
        assert found.weights == "torchvision IMAGENET1K_V1"
        assert found.classes.find("n02123045") == found.classes.find("tabby")
        assert found.classes.find("tabby").indices == (281,)

    def test_torchvision_without_a_network_says_what_to_fetch(self, checkpoints_folder):
        with pytest.raises(ModelError) as caught:
            load_classifier("squeezenet1_1")
        message = str(caught.value)
        assert "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth" in message
        assert str(checkpoints_folder / "squeezenet1_1-b8a52dc0.pth") in message
        assert "weights='FILE'" in message
        assert "weights='random'" in message
        assert "(Name or service not known)" in message

    def test_timm_without_a_network_says_what_to_fetch(self, checkpoints_folder, monkeypatch):
        # It must not be asked: without a network it tries again for 23 s.
        asked = []
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *name: asked.append(name))
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
        with pytest.raises(ModelError, match=r"timm/resnet10t\.c3_in1k/.*model\.safetensors"):
            load_classifier("timm/resnet10t")
        with pytest.raises(ModelError, match=r"gcvit_xxtiny.*weights=.FILE"):
            load_classifier("timm/gcvit_xxtiny")
        assert asked == []

    def test_timm_file_in_the_hub_cache(self, tmp_path, monkeypatch):
        original = varied(timm.create_model("resnet10t"))
        repository = tmp_path / "models--timm--resnet10t.c3_in1k"
        (repository / "snapshots" / "abc").mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("abc")
        save_file(original.state_dict(), repository / "snapshots" / "abc" / "model.safetensors")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        found = load_classifier("timm/resnet10t")
        assert torch.equal(scores_of(found.module), scores_of(original))
        assert found.weights == "timm resnet10t.c3_in1k"
        assert found.classes == load_classifier().classes

    def test_timm_without_published_weights(self):
        name = next(n for n in timm.list_models() if not timm.get_pretrained_cfg(n).has_weights)
        with pytest.raises(ModelError, match="publishes no weights"):
            load_classifier(f"timm/{name}")


class TestFetching:
    def test_downloads_once_and_checks_the_digest(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        (tmp_path / "net-ffffffff.pth").write_bytes(b"weights")
        with pytest.raises(ModelError, match="invalid hash value"):
            fetch_url((tmp_path / "net-ffffffff.pth").as_uri(), "net")
        source = tmp_path / f"net-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
        source.write_bytes(b"weights")
        target = fetch_url(source.as_uri(), "net")
        assert target.read_bytes() == b"weights"
        source.unlink()
        assert fetch_url(source.as_uri(), "net") == target
        assert [path.name for path in target.parent.iterdir()] == [target.name]

    @pytest.mark.parametrize("hidden", [False, True])
    def test_says_what_is_downloaded_on_our_line_only(self, tmp_path, monkeypatch, capsys, hidden):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        (tmp_path / "net.pth").write_bytes(b"weights")
        with progress_bar("loading net", ProgressBar, hidden=hidden) as line:
            shown = []
            monkeypatch.setattr(
                "torch.hub.download_url_to_file",
                lambda url, target, digest, progress: shown.extend(
                    [progress, *(task.description for task in line.bar.tasks)]
                ),
            )
            fetch_url((tmp_path / "net.pth").as_uri(), "net")
            assert shown == [False, "loading net", "downloading net.pth"]
            assert [task.description for task in line.bar.tasks] == ["loading net"]
        if hidden:
            assert capsys.readouterr() == ("", "")

    def test_the_hub_shows_no_bars_of_its_own(self, monkeypatch):
        bars = importlib.import_module("huggingface_hub.utils.tqdm")
        seen = []

        def download(*_):
            seen.append(bars.are_progress_bars_disabled())
            return "model.safetensors"

        monkeypatch.setattr(downloads, "_knock", lambda url: None)
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        fetch_hub("timm/net", "timm/net")
        assert seen == [True]
        assert not bars.are_progress_bars_disabled()

    def test_a_silent_server_does_not_hang(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr(downloads, "_PATIENCE_S", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/net.pth"
            with pytest.raises(ModelError, match="timed out"):
                fetch_url(url, "net")
        assert socket.getdefaulttimeout() is None

    def test_a_folder_that_cannot_be_made(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
        with pytest.raises(ModelError, match="Not a directory"):
            fetch_url("https://example.org/net.pth", "net")
