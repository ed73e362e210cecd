"""Errors that are the user's to mend: one paragraph each, no traceback, exit status 1.

Whoever raises one says which file or key, which value, what is allowed and what to do.
`core.cli` prints them; anything else that escapes a stage is a defect and keeps its traceback.
"""

import errno

STORAGE_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "no file may be so large there; raise the limit, or choose another disk",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "permission is denied; make the file readable and its folder writable",
    errno.EPERM: "the operation is not permitted; make the folder writable",
    errno.EEXIST: "a file is in the place of a folder; move it away",
    errno.ENOTDIR: "a file is in the place of a folder; move it away",
    errno.EISDIR: "a folder is in the place of a file; move it away",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
    errno.EIO: "the disk reports an error; check it, or choose another",
}


class UserError(Exception):
    """Base of all errors that are shown as one plain paragraph."""


class ParamsError(UserError):
    """A key in a parameter file is unknown, of the wrong type, out of range or in conflict."""


class DataError(UserError):
    """Images are missing, unreadable, too few, or not what their checksum says."""


class DeviceError(UserError):
    """A device was asked for that this machine or this PyTorch build does not have."""


class ModelError(UserError):
    """A model name is unknown, or the model cannot take this input or these weights."""


class TrainingError(UserError):
    """Training cannot start or cannot go on."""


class DivergedError(TrainingError):
    """A loss or, after the last update, the weights stopped being finite.

    `epoch` and `step` are counted from 1, `step` within the epoch.
    """

    def __init__(self, message: str, *, epoch: int, step: int, precision: str) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step
        self.precision = precision


class ChangedError(UserError):
    """Parameters or code were edited while a result was made from them."""


class RunError(UserError):
    """Results of an earlier stage or of another run are missing or do not fit together."""
