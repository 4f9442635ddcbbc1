"""A tree of values as the lines of expected/NAME.json: key path -> what is there."""

import json

import numpy as np


def describe(value, path="", out=None):
    """Paths as Cairn writes them: a/b[3]; a named tuple counts as a dict, as Orbax restores it."""
    out = {} if out is None else out
    name = path or "(root)"
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict) and value:
        for key, child in value.items():
            describe(child, f"{path}/{key}" if path else key, out)
    elif isinstance(value, (list, tuple)) and value:
        for i, child in enumerate(value):
            describe(child, f"{path}[{i}]", out)
    elif value is None or isinstance(value, (dict, list, tuple)):
        out[name] = "null" if value is None else "empty " + type(value).__name__
    elif isinstance(value, (bool, int, float, str)):
        out[name] = {"value": value}
    else:
        if "key<" in str(value.dtype):
            import jax

            value = jax.random.key_data(value)
        array = np.asarray(value)
        out[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "hex": array.tobytes().hex()}
    return out


def write_expected(folder, name, value):
    (folder / "expected").mkdir(exist_ok=True)
    lines = [json.dumps(k) + ": " + json.dumps(v, ensure_ascii=False) for k, v in describe(value).items()]
    (folder / "expected" / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
