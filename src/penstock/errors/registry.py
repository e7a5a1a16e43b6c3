"""Errors of model registries."""

from __future__ import annotations

from penstock.errors.root import PenstockError


class RegistryError(PenstockError):
    code = "registry"


class NameInvalid(RegistryError):
    code = "name_invalid"


class ModelNotFound(RegistryError):
    code = "model_not_found"


class ModelExists(RegistryError):
    code = "model_exists"


class TokenExists(RegistryError):
    code = "token_exists"


class TokenNotFound(RegistryError):
    code = "token_not_found"


class VersionNotFound(RegistryError):
    code = "version_not_found"


class AliasMoved(RegistryError):
    code = "alias_moved"


class AliasNotFound(RegistryError):
    code = "alias_not_found"


class VersionInUse(RegistryError):
    code = "version_in_use"


class VersionPending(RegistryError):
    code = "version_pending"


class SignatureIncompatible(RegistryError):
    code = "signature_incompatible"


class NothingToRollBack(RegistryError):
    code = "nothing_to_roll_back"


class RegistryReadOnly(RegistryError):
    code = "registry_read_only"


class RegistryDenied(RegistryError):
    code = "registry_denied"


class RegistryRefused(RegistryError):
    """`error_code` is the server's own word, `status` HTTP's."""

    code = "registry_refused"

    def __init__(self, message: str, *, error_code: str, status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.status = status


class RegistryUnavailable(RegistryError):
    code = "registry_unavailable"


class RegistryNotFound(RegistryUnavailable):
    code = "registry_not_found"


class RegistryFull(RegistryUnavailable):
    code = "registry_full"


class RegistryOutdated(RegistryError):
    code = "registry_outdated"


class Unsupported(RegistryError):
    code = "unsupported"


class BackupNotFound(RegistryError):
    code = "backup_not_found"


class BackupBroken(RegistryError):
    code = "backup_broken"


class StoreNotEmpty(RegistryError):
    code = "store_not_empty"
