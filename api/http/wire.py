"""What crosses the wire: models that ignore what they do not know and read null as absent."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator


class Wire(BaseModel):
    """A body, a query or a reply.

    In a request an explicit null means that the field was not sent, at every depth where a model
    stands: the official SDKs send nulls for what they do not set. Free-form objects keep theirs.
    """

    model_config = ConfigDict(extra="ignore", from_attributes=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _null_is_absent(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        if isinstance(value, dict) and None in value.values():
            fields = cls.model_fields
            value = {
                name: inner
                for name, inner in value.items()
                # A field that must be there keeps its null: a reply's may be nothing but null.
                if inner is not None or (name in fields and fields[name].is_required())
            }
        return handler(value)

    def sent(self) -> dict[str, Any]:
        """The fields that the request really carried, for a PATCH; nested models as dictionaries."""
        return self.model_dump(mode="json", exclude_unset=True)
