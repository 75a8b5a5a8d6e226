"""Documents compared with those that Docker gave: the same names, and the same types below them."""

from typing import Any


def differences(docker: Any, ours: Any, path: str = "") -> list[str]:
    """What of Docker's document is not in ours, or is of another type; null fits everything."""
    if docker is None or ours is None:
        return []
    if type(docker) is not type(ours):
        return [f"{path}: {type(docker).__name__}, not {type(ours).__name__}"]
    if isinstance(docker, dict):
        found = [f"{path}.{name}: missing" for name in docker.keys() - ours.keys()]
        for name in docker.keys() & ours.keys():
            found += differences(docker[name], ours[name], f"{path}.{name}")
        return sorted(found)
    if isinstance(docker, list) and docker and ours:
        return differences(docker[0], ours[0], f"{path}[]")
    return []
