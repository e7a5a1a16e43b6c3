"""All settings of a server, in one frozen object. One declaration gives the flag, the PENSTOCK_* variable, the key in
penstock.toml and the documentation."""

from penstock.config.model_tables import Origins, ServerSettings, origins_of
from penstock.config.settings import Settings, mlflow_variables_of, per_model_settings, variable_of
from penstock.config.sources import (
    FILE_NAME,
    FILE_VARIABLE,
    load_settings,
    registry_url,
    settings_file,
    settings_of,
)
from penstock.config.unknown_variables import unknown_variables

__all__ = [
    "FILE_NAME",
    "FILE_VARIABLE",
    "Origins",
    "ServerSettings",
    "Settings",
    "load_settings",
    "mlflow_variables_of",
    "origins_of",
    "per_model_settings",
    "registry_url",
    "settings_file",
    "settings_of",
    "unknown_variables",
    "variable_of",
]
