"""Structures are tuples, lists and dictionaries of tensors, as functions take and return them."""


def rebuilt(structure, put):
    """Return tuples, lists and dictionaries as they are, with put(x) for what else is in them.

    None, numbers and texts stay, too.
    """
    if structure is None or isinstance(structure, (bool, int, float, str)):
        return structure
    if isinstance(structure, dict):
        return {key: rebuilt(part, put) for key, part in structure.items()}
    if isinstance(structure, (tuple, list)):
        parts = [rebuilt(part, put) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return put(structure)
