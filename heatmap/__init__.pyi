# The public names and their modules; `heatmap/__init__.py` imports them from here on first use.

from .adapting import adapt as adapt
from .classes import ClassGroup as ClassGroup
from .comparing import compare as compare
from .converting import FullyConvolutional as FullyConvolutional
from .converting import convert as convert
from .errors import ClassError as ClassError
from .errors import ConversionError as ConversionError
from .errors import GeometryError as GeometryError
from .errors import HeatmapError as HeatmapError
from .errors import InexactError as InexactError
from .errors import ModelError as ModelError
from .errors import PhotoError as PhotoError
from .errors import ResultError as ResultError
from .fitting import Schedule as Schedule
from .geometry import Geometry as Geometry
from .grid import ScoreGrid as ScoreGrid
from .gridfile import load as load
from .localizing import Found as Found
from .localizing import localize as localize
from .models import Classifier as Classifier
from .models import load_classifier as load_classifier
from .models import save_checkpoint as save_checkpoint
from .photos import Photo as Photo
from .photos import read_photo as read_photo
from .programs import Program as Program
from .programs import export as export
from .rendering import overlay as overlay
from .rendering import write_image as write_image
from .reporting import draw_report as draw_report
from .request import Placement as Placement
from .request import View as View
from .results import Extras as Extras
from .running import Run as Run
from .running import run as run
from .saved import saved_results as saved_results
from .saved import write_page as write_page
from .scoring import Scorer as Scorer
from .scoring import prepare as prepare
from .scoring import score as score
from .sharpening import sharp_maps as sharp_maps
from .sharpening import tighten as tighten
from .summarizing import Summary as Summary
from .summarizing import summarize as summarize
from .training import Trained as Trained
from .training import train as train
from .verifying import VerifyReport as VerifyReport
from .verifying import verify as verify

__all__: list[str]
__version__: str
