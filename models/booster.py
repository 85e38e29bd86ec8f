"""The stock LightGBM library, called through its documented C interface: prediction only.

`import lightgbm` takes seconds, because it imports scikit-learn and with it scipy.stats; loading the shared library of
the same installed package takes hundredths of a second and calls the same code. So a worker and the canary process
load models through this file, and a test holds that it gives the same bits as `lightgbm.Booster.predict`. Buffers are
passed as addresses, so that the canary process does not even need numpy.

Source: LightGBM's `include/LightGBM/c_api.h`.
"""

import ctypes
import importlib.util
import sys
import weakref
from functools import cache
from pathlib import Path

from features.errors import AssayError

RAW_SCORE, LEAF_INDEX, CONTRIBUTIONS = 1, 2, 3
"""What to predict: the sum of the leaves, the leaf of each tree, or TreeSHAP contributions with the bias last."""

_FLOAT32 = 0
_ROW_MAJOR = 1
_ALL_TREES = -1
_PARAMETERS = b"num_threads=1 verbosity=-1"
_LIBRARY_NAMES = {"win32": "lib_lightgbm.dll", "darwin": "lib_lightgbm.dylib"}


class Booster:
    """A LightGBM text model inside the native library.

    A damaged text can kill the process or never return: let `models.canary` try it first.

    Attributes:
        feature_count: how many columns a row has.
        tree_count: how many trees are summed.

    Raises:
        AssayError: the library is not installed, or it refuses the text.
    """

    def __init__(self, model_text: bytes) -> None:
        self._library = _library()
        handle = ctypes.c_void_p()
        iteration_count = ctypes.c_int()
        self._check(
            self._library.LGBM_BoosterLoadModelFromString(
                model_text, ctypes.byref(iteration_count), ctypes.byref(handle)
            ),
            "load the model",
        )
        self._handle = handle
        weakref.finalize(self, self._library.LGBM_BoosterFree, handle)
        feature_count, tree_count = ctypes.c_int(), ctypes.c_int()
        self._check(self._library.LGBM_BoosterGetNumFeature(handle, ctypes.byref(feature_count)), "count features")
        self._check(self._library.LGBM_BoosterNumberOfTotalModel(handle, ctypes.byref(tree_count)), "count trees")
        self.feature_count = feature_count.value
        self.tree_count = tree_count.value

    def predict(self, kind: int, rows_address: int, row_count: int, out_address: int, out_length: int) -> None:
        """Predict in the calling thread; the lock of the interpreter is released meanwhile.

        Args:
            kind: `RAW_SCORE`, `LEAF_INDEX` or `CONTRIBUTIONS`.
            rows_address: of float32[row_count, feature_count], row-major. NaN is missing.
            row_count: at least 1.
            out_address: of float64[row_count, width]; width is 1, `tree_count` or `feature_count` + 1.
            out_length: how many float64 fit at `out_address`: checked, because the library would write past the end.

        Raises:
            AssayError: the library reports an error.
        """
        width = {RAW_SCORE: 1, LEAF_INDEX: self.tree_count, CONTRIBUTIONS: self.feature_count + 1}[kind]
        assert row_count >= 1
        assert out_length == row_count * width, (out_length, row_count, width)
        written = ctypes.c_int64()
        self._check(
            self._library.LGBM_BoosterPredictForMat(
                self._handle,
                rows_address,
                _FLOAT32,
                row_count,
                self.feature_count,
                _ROW_MAJOR,
                kind,
                0,
                _ALL_TREES,
                _PARAMETERS,
                ctypes.byref(written),
                out_address,
            ),
            "predict",
        )
        assert written.value == out_length, (written.value, out_length)

    def _check(self, status: int, what: str) -> None:
        if status != 0:
            reason = (self._library.LGBM_GetLastError() or b"no reason given").decode(errors="replace").strip()
            raise AssayError(
                f"LightGBM {library_version()} did not {what}: {' '.join(reason.split())}. The file is damaged or was "
                "written by an incompatible version: take the artefact from its source again, or train anew"
            )


@cache
def library_version() -> str:
    """Version of the installed LightGBM package, read without importing it."""
    return (_package() / "VERSION.txt").read_text(encoding="ascii").strip()


def _package() -> Path:
    specification = importlib.util.find_spec("lightgbm")
    if specification is None or not specification.submodule_search_locations:
        raise AssayError("expected the Python package lightgbm, it is not installed here: run `make setup`")
    return Path(specification.submodule_search_locations[0])


@cache
def _library() -> ctypes.CDLL:
    path = _package() / "lib" / _LIBRARY_NAMES.get(sys.platform, "lib_lightgbm.so")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise AssayError(
            f"{path} does not load: {error}. On Debian and Ubuntu install the package libgomp1; else run `make setup`"
        ) from error
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    library.LGBM_GetLastError.argtypes = []
    library.LGBM_GetLastError.restype = text
    library.LGBM_BoosterLoadModelFromString.argtypes = [text, pointer, pointer]
    library.LGBM_BoosterFree.argtypes = [pointer]
    library.LGBM_BoosterGetNumFeature.argtypes = [pointer, pointer]
    library.LGBM_BoosterNumberOfTotalModel.argtypes = [pointer, pointer]
    library.LGBM_BoosterPredictForMat.argtypes = [
        pointer,
        pointer,
        integer,
        ctypes.c_int32,
        ctypes.c_int32,
        *[integer] * 4,
        text,
        pointer,
        pointer,
    ]
    return library
