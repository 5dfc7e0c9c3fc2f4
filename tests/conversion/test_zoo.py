"""Conversion of real architectures, from torchvision and timm.

One network of each kind at a small window always; with `-m slow`, at their own windows, all of
torchvision's CNN classifiers, and one network of many of timm's families.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from heatmap import ConversionError, FullyConvolutional, convert
from heatmap.conversion.check import SliceReference, relative_difference
from heatmap.conversion.convert import convert_usable
from heatmap.conversion.heads import convert_head
from heatmap.conversion.plan import Plan, plan_conversion
from heatmap.conversion.trace import trace
from heatmap.networks import registry
from heatmap.networks.catalog import inspect_model, inspect_models
from heatmap.networks.registry import bare_network
from heatmap.prepared.preprocessing import Preprocessing
from heatmap.scoring.bands.proof import prove_bands
from tests.support.networks import WINDOW, Classifier, randomise, scenes
from tests.support.zoo import build

# Each kind, with the window, px: fully connected layers on a flattened map, residual branches,
# a head of convolutions, and channels last.
KINDS = {
    "alexnet": 224,
    "resnet18": 64,
    "squeezenet1_1": 64,
    "timm/test_convnext": 64,
}
TORCHVISION = (
    "alexnet googlenet mnasnet0_5 mobilenet_v2 resnet18 shufflenet_v2_x0_5 squeezenet1_1 vgg11 "
    "convnext_tiny convnext_small convnext_base convnext_large densenet121 densenet161 densenet169 "
    "densenet201 "
    "inception_v3 mnasnet0_75 mnasnet1_0 mnasnet1_3 regnet_x_400mf regnet_x_800mf "
    "regnet_x_1_6gf regnet_x_3_2gf "
    "regnet_x_8gf regnet_x_16gf regnet_x_32gf resnet34 resnet50 resnet101 resnet152 "
    "resnext50_32x4d resnext101_32x8d resnext101_64x4d shufflenet_v2_x1_0 shufflenet_v2_x1_5 "
    "shufflenet_v2_x2_0 squeezenet1_0 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn "
    "wide_resnet50_2 wide_resnet101_2"
).split()
TIMM = (
    "dpn48b hrnet_w18_small mobilenetv4_conv_small nf_resnet26 starnet_s1 test_convnext "
    "tf_efficientnet_lite0 cspresnet50 dla46_c fasternet_t0 inception_next_atto mambaout_femto "
    "convformer_s18 convmixer_768_32 cspdarknet53 darknet53 dla34 gernet_s inception_resnet_v2 "
    "inception_v4 legacy_xception mobilenetv1_100 mobilenetv2_100 nasnetalarge pnasnet5large "
    "repvgg_a0 res2net50_48w_2s resnet26d resnetblur50 selecsls42 spnasnet_100 vgg11_bn xception41"
).split()
INEXACT = {
    "timm/test_efficientnet": "mean",
    "timm/test_efficientnet_gn": "group_norm",
}
INEXACT_MORE = {
    "timm/convnextv2_atto": "linalg_vector_norm",
    "mobilenet_v3_small": "adaptive_avg_pool2d",
    "efficientnet_b0": "adaptive_avg_pool2d",
    "regnet_y_400mf": "adaptive_avg_pool2d",
    "timm/ese_vovnet19b_dw": "mean",
    "timm/poolformer_s12": "group_norm",
    "timm/resnest14d": "mean",
    "timm/resnetv2_50x1_bit": "group_norm",
    "timm/skresnet18": "mean",
}
REFUSED = "timm/resmlp_12_224 timm/test_vit".split()
REFUSED_MORE = (
    "vit_b_16 swin_t maxvit_t timm/mixer_s16_224 timm/vit_tiny_patch16_224 "
    "timm/coatnet_nano_rw_224 timm/gcresnet33ts timm/tresnet_m timm/edgenext_xx_small "
    "timm/efficientvit_b0 timm/mobilevit_xxs timm/swiftformer_xs timm/efficientformer_l1"
).split()

# The smallest network of each of timm's families, at SMALL_WINDOW px.
PADDED_MORE = (
    "convnext_atto cs3darknet_s cs3edgenet_x densenet121 densenetblur121d dla60_res2net fbnetc_100 "
    "hgnetv2_b0 mobileone_s1 regnetx_002 res2next50 resnet10t resnetaa34d resnetv2_18 "
    "tf_mobilenetv3_small_minimal_100 vovnet39a"
).split()
LOCAL_FAMILIES = (
    "convnextv2_atto cspnext_tiny dm_nfnet_f0 eca_nfnet_l0 eca_resnext26ts eca_vovnet39b "
    "ecaresnet26t efficientnet_b0_gn efficientnetv2_rw_t ese_vovnet19b_slim_dw fastvit_t8 "
    "fbnetv3_b focalnet_tiny_srf ghostnet_100 hgnet_tiny lcnet_035 lcnetv2_small "
    "legacy_seresnet18 mixnet_s mnasnet_small mobilenetv3_small_050 nf_ecaresnet26 nf_regnet_b0 "
    "nf_seresnet26 nfnet_l0 poolformer_s12 poolformerv2_s12 rdnet_tiny regnetv_040 regnety_002 "
    "regnetz_005 regnetz_b16 repghostnet_050 repvit_m0_9 resnest14d resnetrs50 "
    "resnetv2_50x1_bit rexnet_100 rexnetr_100 semnasnet_075 seresnet18 seresnext26ts skresnet18"
).split()
SMALL_WINDOW = 128
TORCHVISION_LOCAL = (
    "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 "
    "efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_s efficientnet_v2_m "
    "efficientnet_v2_l mobilenet_v3_small mobilenet_v3_large regnet_y_400mf regnet_y_800mf "
    "regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_y_32gf regnet_y_128gf"
).split()
# Its weights take 2.6 GB, and a conversion copies some: it is planned alone.
TOO_LARGE = ("regnet_y_128gf",)

# With the weights drawn here the originals themselves are 5e-4 and 2e-5 away from their
# float64 selves in float32: what they round hides what a conversion changes.
IN_FLOAT64 = ("timm/convmixer_768_32", "timm/inception_v4")


def check(name: str, window: int | None = None) -> None:
    """A network with random weights, converted at a window (its own: None), against itself."""
    module, own = build(name)
    window = window or own
    randomise(module, window)
    if name in IN_FLOAT64:
        network = convert_usable(module.double(), window)
    else:
        network = convert(module, window)
        assert prove_bands(network, Preprocessing(window)) == ""
    assert network.sliding == "exact"
    side = window + network.native_stride_px
    photos = scenes(2, side, side, seed=3).to(next(module.parameters()))
    crops = photos[:, :, :window, :window].contiguous()
    with torch.inference_mode():
        expected, found = module(crops), network(crops)[:, :, 0, 0]
        spread = relative_difference(expected[:1], expected[1:])
        assert spread > 1e-3, "outputs must depend on inputs or the comparison says nothing"
        assert relative_difference(found, expected) < 1e-5
        check_slices(network, photos[:1])
        check_larger(module, side, network, photos[:1])


def check_slices(network: FullyConvolutional, photo: torch.Tensor) -> None:
    """Claim 1 on 2 x 2 windows."""
    reference = SliceReference(network.plan)
    maps = reference.features(photo)
    cells = [reference.score(maps, row, column) for row in (0, 1) for column in (0, 1)]
    expected = torch.stack(cells, dim=2).reshape(1, -1, 2, 2)
    assert relative_difference(network(photo), expected) < 1e-5


def check_larger(
    module: nn.Module, side: int, network: FullyConvolutional, photo: torch.Tensor
) -> None:
    """At a size that the module takes itself, the trunk converted at the window serves too."""
    try:
        expected = module(photo)
    except RuntimeError:
        return  # a fully connected layer that knows one size only
    plan = plan_conversion(trace(module, side))
    if plan.feature.name != network.plan.feature.name:
        return  # its convolution over the whole map is one no longer (timm's VGG)
    found = convert_head(plan)(network.trunk(photo))[:, :, 0, 0]
    assert relative_difference(found, expected) < 1e-5


@pytest.mark.parametrize(
    ("name", "window"),
    # What the others have is in the small networks of other tests too.
    [
        pytest.param(*kind, marks=[pytest.mark.slow] * (kind[0] != "squeezenet1_1"))
        for kind in KINDS.items()
    ],
    ids=KINDS,
)
def test_network_of_every_kind_agrees_with_the_original(name, window):
    check(name, window)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_every_torchvision_cnn_agrees_with_the_original(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_many_of_timm_agree_with_the_original(name):
    check(f"timm/{name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", PADDED_MORE)
def test_more_of_timm_at_a_small_window_agree_with_the_original(name):
    check(f"timm/{name}", SMALL_WINDOW)


@pytest.mark.slow
def test_the_lists_hold_every_torchvision_cnn(tmp_path, monkeypatch):
    """Whatever torchvision adds must be converted too, or be recognised as what it is."""
    monkeypatch.setenv("HEATMAP_CACHE", str(tmp_path))
    kinds: dict[str, set[str]] = defaultdict(set)
    for fact in inspect_models():
        kinds[fact.slides].add(fact.name)
    assert kinds["exact"] | kinds["padded"] == {"efficientnet_lite0", *TORCHVISION}
    assert kinds["local"] == set(TORCHVISION_LOCAL)
    # Transformers.
    assert all(name.startswith(("vit_", "swin_", "maxvit_")) for name in kinds["crop"])
    assert not kinds["whole"]


def slow(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


# A network of each kind, as `heatmap models` names it.
SLIDES = {
    "squeezenet1_1": "padded",
    "timm/test_efficientnet": "local",
    "timm/test_vit": "crop",
}


@pytest.mark.parametrize("name", SLIDES)
def test_each_kind_is_named(name):
    assert inspect_model(name).slides == SLIDES[name]


def test_a_network_that_does_not_pad_is_exact(monkeypatch):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    plain = Classifier(head, padding=0)
    monkeypatch.setattr(registry, "bare_network", lambda _: (plain.eval(), WINDOW))
    assert inspect_model("plain").slides == "exact"


def test_what_runs_with_settings_of_its_own_is_refused_by_name():
    class Own(nn.Module):
        def forward(self, photo):
            with torch.autocast("cpu", torch.bfloat16):
                maps = photo.relu() * 2
            return maps.mean((2, 3))

    with pytest.raises(ConversionError, match=r"settings of its own .autocast.: use engine='crop'"):
        convert(Own(), 32)


def planned(name: str) -> Plan:
    """The plan of a network, without weights."""
    with torch.device("meta"):
        module, window = bare_network(name)
    return plan_conversion(trace(module, window))


@pytest.mark.parametrize(
    "name", ["timm/test_efficientnet_gn", *slow(["timm/test_efficientnet", *INEXACT_MORE])]
)
def test_network_that_looks_at_the_whole_input_is_inexact(name):
    plan = planned(name)
    assert plan.sliding == "inexact"
    assert (INEXACT | INEXACT_MORE)[name] in plan.whole_input[0][1]


# With the window, px.
LOCAL = {"timm/test_efficientnet": 64, "timm/test_efficientnet_gn": 64}
LOCAL_MORE = [
    *(name for name in TORCHVISION_LOCAL if name not in TOO_LARGE),
    *(f"timm/{name}" for name in LOCAL_FAMILIES),
]


@pytest.mark.parametrize(
    "name", ["timm/test_efficientnet", *slow(["timm/test_efficientnet_gn", *LOCAL_MORE])]
)
def test_network_that_looks_at_the_whole_input_slides_with_local_statistics(name):
    module, _ = build(name)
    window = LOCAL.get(name, SMALL_WINDOW)
    randomise(module, window)
    network = convert(module, window, statistics="local")
    assert prove_bands(network, Preprocessing(window)) == ""
    photos = scenes(2, window, window, seed=3)
    with torch.inference_mode():
        expected = module(photos)
        assert relative_difference(expected[:1], expected[1:]) > 5e-4
        assert relative_difference(network(photos)[:, :, 0, 0], expected) < 1e-5


@pytest.mark.parametrize("name", ["timm/test_vit", *slow(["timm/resmlp_12_224", *REFUSED_MORE])])
def test_network_that_mixes_fixed_positions_is_refused(name):
    with pytest.raises(ConversionError, match="use engine='crop'"):
        planned(name)
