"""Knowledge bases: texts that agents answer from."""
