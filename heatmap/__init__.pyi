# The public names and their modules; `heatmap/__init__.py` imports them from here on first use.

from .classes import ClassGroup as ClassGroup
from .conversion.convert import convert as convert
from .conversion.network import FullyConvolutional as FullyConvolutional
from .errors import ClassError as ClassError
from .errors import ConversionError as ConversionError
from .errors import GeometryError as GeometryError
from .errors import HeatmapError as HeatmapError
from .errors import InexactError as InexactError
from .errors import ModelError as ModelError
from .errors import PhotoError as PhotoError
from .errors import ResultError as ResultError
from .evaluation.evaluate import evaluate as evaluate
from .evaluation.verify import verify as verify
from .evaluation.verify_report import VerifyReport as VerifyReport
from .evaluation.verify_report import draw_report as draw_report
from .geometry import Geometry as Geometry
from .geometry import Placement as Placement
from .grid.read import load as load
from .grid.score_grid import ScoreGrid as ScoreGrid
from .localization.detection import Detection as Detection
from .localization.findings import Findings as Findings
from .localization.localize import localize as localize
from .localization.sharpen import sharp_maps as sharp_maps
from .localization.sharpen import tighten as tighten
from .networks.adapt import adapt as adapt
from .networks.checkpoint import save_checkpoint as save_checkpoint
from .networks.classifier import Classifier as Classifier
from .networks.export import Program as Program
from .networks.export import export as export
from .networks.layer_table import Summary as Summary
from .networks.load import load_classifier as load_classifier
from .networks.model_names import list_models as list_models
from .networks.summary import summary as summary
from .photo.photo import Photo as Photo
from .photo.photo import read_photo as read_photo
from .photo.reading import Reading as Reading
from .progress import Reporter as Reporter
from .rendering.overlay import overlay as overlay
from .rendering.overlay import write_image as write_image
from .runs.options import RunOptions as RunOptions
from .runs.request import MultiScale as MultiScale
from .runs.result import Result as Result
from .runs.run import run as run
from .runs.saved import saved_results as saved_results
from .runs.view import render as render
from .runs.view import view as view
from .scoring.prepare import prepare as prepare
from .scoring.prepare import score as score
from .scoring.scorer import Scorer as Scorer
from .training.fit import Schedule as Schedule
from .training.train import train as train
from .training.trained import Trained as Trained

__all__: list[str]
__version__: str
