"""Administration: models, training, accounts, API tokens, audit list, settings, storage."""

from birads_app.web.admin import accounts, audit, models, overview, system, tokens, training
from birads_app.web.admin.blueprint import bp

__all__ = ["accounts", "audit", "bp", "models", "overview", "system", "tokens", "training"]
