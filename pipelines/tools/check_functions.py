"""What a model would miss in a developer's functions, in sentences, before a caller finds out."""

import inspect
import re

from pipelines.tools.developer import Functions, signatures

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def complaints(functions: Functions) -> list[str]:
    """One sentence for each thing to mend; empty when all is well."""
    found = list(functions.broken)
    for signature in signatures(functions):
        if _NAME.fullmatch(signature.name) is None:
            found.append(f"{signature.name}: models take letters, digits, _ and - in a name, at most 64.")
        if not signature.description:
            found.append(f"{signature.name} has no docstring: a model cannot know when to call it.")
        for name, field in signature.parameters.get("properties", {}).items():
            if not field.get("description"):
                found.append(
                    f"{signature.name}: {name} has no description; add it under Args: in the docstring."
                )
        called = inspect.unwrap(functions.by_name[signature.name])
        if inspect.signature(called).return_annotation is inspect.Signature.empty:
            found.append(f"{signature.name} does not say what it returns.")
    return found
