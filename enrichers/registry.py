"""Every enricher there is. A new one is a line here."""

from enrichers.analysis import COMPANY, CONVERSATION, JOB, RESUME, USER_PROFILE
from enrichers.contract import EnricherSpec
from enrichers.embed import EMBED

SPECS: dict[str, EnricherSpec] = {spec.name: spec for spec in (EMBED, JOB, COMPANY, RESUME, USER_PROFILE, CONVERSATION)}
