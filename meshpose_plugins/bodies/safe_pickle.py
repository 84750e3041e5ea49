"""Pickles of body models without executing anything: arrays, sparse matrices and plain values, nothing else.

A pickle is a program that may call any function that it can name. Here it may name only what the tables below
hold: NumPy's arrays, SciPy's sparse matrices and chumpy's arrays. For each of them an inert record is made, and turned
into an array afterwards. Everything else is refused before it is imported.
"""

from __future__ import annotations

import codecs
import pickle
from pathlib import Path
from typing import Any, BinaryIO, Dict, Union

import numpy as np
from scipy import sparse

_CHUMPY_HINT = "convert the file once with the tool of its distributor (to .npz)"


class _Sealed(type):
    """A class whose attributes a pickle cannot set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise TypeError(f"{cls.__name__} cannot be changed")


class _Record(metaclass=_Sealed):
    """Stands for an object of a foreign class: keeps the state that was pickled, does nothing."""

    __slots__ = ("state",)

    def __new__(cls, *_: Any) -> "_Record":
        record = object.__new__(cls)
        record.state = {}
        return record

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("the state of a stored object is no table of names")
        self.state = state


class _SparseRecord(_Record):
    __slots__ = ()


class _ChumpyRecord(_Record):
    __slots__ = ()


class _Plain(metaclass=_Sealed):
    """Stands for `object`, the base that old pickles name."""

    __slots__ = ()


class _Call:
    """A function that a pickle may call; unlike a function it has no attributes to overwrite."""

    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError("a function cannot be changed")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _DtypeRecord(_Record):
    """Stands for numpy.dtype: a number or text type by its name, and its byte order."""

    __slots__ = ()

    def __init__(self, name: Any, *_: Any) -> None:
        self.state = {"name": name, "order": "="}

    def __setstate__(self, state: Any) -> None:
        self.state["order"] = state[1]

    def dtype(self) -> np.dtype:
        dtype = np.dtype(str(self.state["name"])).newbyteorder(str(self.state["order"]))
        if dtype.kind not in "biufSUO":
            raise pickle.UnpicklingError(f"an array of type '{dtype}'")
        return dtype


class _ArrayRecord(_Record):
    """Stands for numpy.ndarray: shape, type and values, checked before an array is made of them."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran_order, values = state[-4:]
        self.state = {"shape": shape, "dtype": dtype, "order": "F" if fortran_order else "C", "values": values}

    def array(self) -> np.ndarray:
        dtype, values, shape = self.state["dtype"].dtype(), self.state["values"], tuple(self.state["shape"])
        if dtype.hasobject:
            flat = np.empty(len(values), object)
            flat[:] = values
        else:
            flat = np.frombuffer(values.encode("latin1") if isinstance(values, str) else values, dtype)
        return flat.reshape(shape, order=self.state["order"])


def _reconstruct_array(*_: Any) -> _ArrayRecord:
    return _ArrayRecord()  # shape, type and values follow as its state


def _scalar(dtype: Any, data: Any = b"") -> Any:
    record = _ArrayRecord()
    record.__setstate__(((), dtype, False, data))
    return record


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _ArrayRecord:
    record = _ArrayRecord()
    record.__setstate__((shape, dtype, order == "F", data))
    return record


def _reconstruct_object(kind: Any, base: Any, state: Any) -> _Record:
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise pickle.UnpicklingError("an object of a class that is no array")
    return kind()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    return codecs.latin_1_encode(str(text))[0]


_NUMPY = {"_reconstruct": _reconstruct_array, "scalar": _scalar, "_frombuffer": _from_buffer}
_NUMPY_MODULES = tuple(
    f"numpy.{core}.{module}" for core in ("core", "_core") for module in ("multiarray", "numeric")
)
_ALLOWED: Dict[tuple, Any] = {
    (module, name): _Call(function) for module in _NUMPY_MODULES for name, function in _NUMPY.items()
}
_ALLOWED.update(
    {
        ("numpy", "ndarray"): _ArrayRecord,
        ("numpy", "dtype"): _DtypeRecord,
        ("copy_reg", "_reconstructor"): _Call(_reconstruct_object),
        ("copyreg", "_reconstructor"): _Call(_reconstruct_object),
        ("__builtin__", "object"): _Plain,
        ("builtins", "object"): _Plain,
        ("_codecs", "encode"): _Call(_encode),
    }
)
_SPARSE_NAMES = {f"{kind}_{shape}" for kind in ("csc", "csr", "coo") for shape in ("matrix", "array")}


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler that knows arrays, sparse matrices and chumpy's arrays, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module.startswith("scipy.sparse.") and name in _SPARSE_NAMES:
            return _SparseRecord
        if module.split(".")[0] == "chumpy" and name.isidentifier():
            return _ChumpyRecord
        raise pickle.UnpicklingError(f"it asks for '{module}.{name}', which is no array")


def load_arrays(path: Union[str, Path]) -> Dict[str, Any]:
    """Read a pickled table of arrays, executing nothing.

    Args:
        path: the .pkl file, written by Python 2 or 3.

    Returns:
        name -> array, or the plain value or record that the file has under it; see :func:`as_array`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file asks for anything but arrays, is damaged or holds no table.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        content = read_pickle(file, str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected a table of arrays")
    return {
        name.decode("latin1") if isinstance(name, bytes) else str(name): value
        for name, value in content.items()
    }


def read_pickle(file: BinaryIO, where: str) -> Any:
    """Read one pickled value from an open file, executing nothing; ValueError names `where` and the reason."""
    try:
        return ArrayUnpickler(file, encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{where}: refused, nothing of it was executed: {error}; get the file from its publisher again"
        ) from None
    except Exception as error:  # a damaged stream raises nearly anything
        raise ValueError(f"{where}: no readable pickle of arrays ({type(error).__name__}: {error})") from None


def as_array(value: Any, where: str) -> np.ndarray:
    """Turn a value of :func:`load_arrays` into a dense array of numbers.

    Args:
        value: an array, a sparse or a chumpy record.
        where: file and field, for the message.

    Raises:
        ValueError: if it is none of these, or holds other things than numbers.
    """
    if isinstance(value, _ArrayRecord):
        value = _stored(value, where)
    elif isinstance(value, _SparseRecord):
        value = _dense(value.state, where)
    elif isinstance(value, _ChumpyRecord):
        value = _evaluate(value.state, where)
    array = np.asarray(value)
    if array.dtype.kind == "O" and array.size == 1:  # how .npz files keep a sparse matrix
        return as_array(array.item(), where)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where} is no array of numbers (it holds {array.dtype})")
    return array


def _stored(record: _ArrayRecord, where: str) -> np.ndarray:
    try:
        return record.array()
    except Exception as error:  # whatever a damaged record makes NumPy say
        raise ValueError(f"{where}: broken array ({error})") from None


def _dense(state: Dict[str, Any], where: str) -> np.ndarray:
    try:
        shape = tuple(int(size) for size in state.get("_shape", state.get("shape")))
        if "indptr" in state:
            kind = sparse.csc_matrix if state.get("format", "csc") == "csc" else sparse.csr_matrix
            arrays = [as_array(state[name], where) for name in ("data", "indices", "indptr")]
            matrix = kind(tuple(arrays), shape)
            matrix.check_format(full_check=True)  # indices out of range would be read unchecked
        else:
            row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
            row, column = as_array(row, where), as_array(column, where)
            matrix = sparse.coo_matrix((as_array(state["data"], where), (row, column)), shape)
        return matrix.toarray()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: broken sparse matrix ({error})") from None


def _evaluate(state: Dict[str, Any], where: str) -> np.ndarray:
    """Values of a chumpy array: a plain one, or some elements of another (chumpy's Select)."""
    if "x" in state:
        return as_array(state["x"], where)
    if {"a", "idxs", "preferred_shape"} <= set(state):
        base, ids = as_array(state["a"], where).ravel(), as_array(state["idxs"], where).ravel()
        if ids.dtype.kind in "iu" and (not ids.size or (ids.min() >= 0 and ids.max() < base.size)):
            return base[ids].reshape([int(size) for size in np.atleast_1d(state["preferred_shape"])])
    raise ValueError(f"{where}: a chumpy expression instead of an array; {_CHUMPY_HINT}")


def as_plain(value: Any, where: str) -> Any:
    """Turn what :func:`read_pickle` gave into tables, lists, arrays and single values, at every depth.

    Args:
        value: any value; sparse and chumpy arrays stay records, see :func:`as_array`.
        where: file and field, for the message.

    Raises:
        ValueError: if an array is broken, or the value is nested too deeply.
    """
    try:
        if isinstance(value, _ArrayRecord):
            value = _stored(value, where)
        if isinstance(value, np.ndarray) and (value.ndim == 0 or value.dtype.hasobject):
            value = value.tolist()
        if isinstance(value, dict):
            return {as_plain(key, where): as_plain(item, where) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [as_plain(item, where) for item in value]
        return value.decode("latin1") if isinstance(value, bytes) else value
    except RecursionError:
        raise ValueError(f"{where}: nested too deeply") from None
