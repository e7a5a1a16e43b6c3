"""Environments for models: what a package asks for, locked, built by uv, kept and shared."""

from penstock.environments.building import Environment, Environments
from penstock.environments.locking import describe_lock, lock_package
from penstock.environments.store import Entry
from penstock.environments.uv import find_uv

__all__ = ["Entry", "Environment", "Environments", "describe_lock", "find_uv", "lock_package"]
