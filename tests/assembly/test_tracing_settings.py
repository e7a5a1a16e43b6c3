"""The settings that ask for traces, and what is said where traces cannot be had."""

from __future__ import annotations

import pytest

from penstock.assembly import observers as observing
from penstock.assembly.observers import why_untraced
from penstock.config import Settings, load_settings
from penstock.errors import ConfigError
from penstock.http.events import tracing as tracing_file


def test_opentelemetrys_variable_is_read() -> None:
    settings, origins = load_settings({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})
    assert settings.otlp_endpoint == "http://c:4318"
    assert origins["otlp_endpoint"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert why_untraced(settings, origins["otlp_endpoint"]) == why_untraced(Settings(), "default") == ""


def test_traces_that_are_asked_for_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_file, "find_spec", lambda name: None)
    settings = Settings(otlp_endpoint="http://c:4318")
    with pytest.raises(ConfigError, match=r"--otlp-endpoint.*not installed") as caught:
        why_untraced(settings, "--otlp-endpoint")
    assert "penstock[tracing]" in caught.value.hint
    assert "tracing is off" in why_untraced(settings, observing._OTLP)


def test_an_address_that_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an http:// or https:// address"):
        why_untraced(Settings(otlp_endpoint="collector:4317"), "variable")
