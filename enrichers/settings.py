"""What the environment says to enrichers of one version: its models, its money, its cache folder.

For the version ``future`` with the prefix ``FUTURE_``::

    FUTURE_LLM_URL      base URL of an OpenAI-compatible endpoint, ending before ``/chat/completions``
    FUTURE_LLM_MODEL    the model to ask for
    FUTURE_LLM_KEY      its secret, where it asks for one
    FUTURE_LLM_NAME     what it is called in results and logs; the URL's host where not given
    FUTURE_LLM_PRICE_IN, FUTURE_LLM_PRICE_OUT   price of a million tokens that go in, that come out; 0
    FUTURE_LLM_RPM      requests a minute; 60
    FUTURE_LLM_TIMEOUT  seconds that one call may take; 60
    FUTURE_LLM_2_URL …  the next endpoint, asked where the first fails; 3, 4 and so on likewise
    FUTURE_EMBED_URL …  the endpoint of the embedding model that is declared: URL, ending before ``/embeddings``, MODEL,
                        KEY, NAME, PRICE_IN, RPM and TIMEOUT as above
    FUTURE_LLM_BUDGET   the most that a calendar month (UTC) may cost, all endpoints together
    FUTURE_LLM_RETRY    seconds after which a row that rules had to serve is tried again, doubled each time; 60
    TAILRACE_CACHE      the folder for files that can be made again; ``$XDG_CACHE_HOME/tailrace`` where not given

An endpoint with a price needs a budget: no default is right for somebody's money.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from changes.errors import Misconfigured

_FIELDS = {
    "URL": "base_url",
    "MODEL": "model",
    "KEY": "api_key",
    "NAME": "name",
    "PRICE_IN": "price_in",
    "PRICE_OUT": "price_out",
    "RPM": "requests_per_minute",
    "TIMEOUT": "timeout",
}
_MOST_ENDPOINTS = 9

Price = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Endpoint(BaseModel):
    """One OpenAI-compatible endpoint. Prices are for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=64)
    base_url: str = Field(pattern=r"^https?://[^/@\s]+(/\S*)?$")
    model: str = Field(min_length=1, max_length=128)
    api_key: SecretStr | None = None
    price_in: Price = Decimal(0)
    price_out: Price = Decimal(0)
    requests_per_minute: float = Field(default=60.0, gt=0, le=1_000_000)
    timeout: float = Field(default=60.0, gt=0, le=600)

    @property
    def paid(self) -> bool:
        return self.price_in > 0 or self.price_out > 0


class Settings(BaseModel):
    """``budget`` is the most that one calendar month may cost. ``postgres_url``, where given, is the database in
    which the month's spending is kept; without it, a process that starts anew counts from nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    version: str = Field(min_length=1)
    cache_folder: Path
    endpoints: tuple[Endpoint, ...] = ()
    embed: Endpoint | None = None
    budget: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = None
    postgres_url: SecretStr | None = None
    threads: int = Field(default=2, ge=1, le=64)
    retry: float = Field(default=60.0, gt=0, le=86400)


def settings_from(version: str, prefix: str, environ: Mapping[str, str]) -> Settings:
    """The settings of a version whose variables begin with ``prefix``.

    Raises `Misconfigured` naming the variable that is wrong, never its value.
    """
    endpoints = tuple(_endpoints(prefix, environ))
    budget = environ.get(f"{prefix}LLM_BUDGET")
    start = f"{prefix}EMBED_"
    fields = {word: environ[start + word] for word in _FIELDS if environ.get(start + word)}
    embed = _endpoint(start, fields) if fields else None
    paid = next((endpoint for endpoint in (*endpoints, *filter(None, [embed])) if endpoint.paid), None)
    if paid is not None and budget is None:
        raise Misconfigured(
            f"the endpoint `{paid.name}` has a price: say in `{prefix}LLM_BUDGET` what a month may cost at most"
        )
    values: dict[str, Any] = {
        "version": version,
        "cache_folder": cache_folder(environ),
        "endpoints": endpoints,
        "embed": embed,
        "budget": budget,
        "postgres_url": environ.get(f"{prefix}POSTGRES_URL"),
    }
    if retry := environ.get(f"{prefix}LLM_RETRY"):
        values["retry"] = retry
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        word = "RETRY" if error.errors()[0]["loc"][0] == "retry" else "BUDGET"
        raise Misconfigured(f"`{prefix}LLM_{word}`: {error.errors()[0]['msg']}") from None


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where files go that can be made again."""
    if given := environ.get("TAILRACE_CACHE"):
        return Path(given)
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "tailrace"
    return Path(environ.get("HOME", "~")).expanduser() / ".cache" / "tailrace"


def _endpoints(prefix: str, environ: Mapping[str, str]) -> list[Endpoint]:
    starts = [f"{prefix}LLM_", *(f"{prefix}LLM_{number}_" for number in range(2, _MOST_ENDPOINTS + 1))]
    given = [{word: environ[start + word] for word in _FIELDS if environ.get(start + word)} for start in starts]
    count = next((index for index, fields in enumerate(given) if not fields), len(given))
    for start, fields in zip(starts[count:], given[count:], strict=True):
        if fields:
            raise Misconfigured(f"`{start}{next(iter(fields))}` is given and `{starts[count]}URL` is not")
    return [_endpoint(start, fields) for start, fields in zip(starts[:count], given[:count], strict=True)]


def _endpoint(start: str, fields: Mapping[str, str]) -> Endpoint:
    for word in ("URL", "MODEL"):
        if word not in fields:
            raise Misconfigured(f"`{start}{word}` is missing, and the endpoint needs it")
    values = {"name": urlsplit(fields["URL"]).hostname or "", **{_FIELDS[word]: text for word, text in fields.items()}}
    try:
        return Endpoint.model_validate(values)
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        word = next((word for word, name in _FIELDS.items() if name == field), "URL")
        raise Misconfigured(f"`{start}{word}`: {error.errors()[0]['msg']}") from None
