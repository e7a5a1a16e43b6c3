"""Whether a package works, as an assertion."""

from __future__ import annotations

from pathlib import Path

from penstock.assembly.environments import own_environment
from penstock.assembly.named_models import RegistryLike, fetch_model, load_directory
from penstock.loading import LoadedModel, LoadOptions, Proof
from penstock.signature import Casting, conform


def assert_package_works(
    model: str | Path,
    *,
    registry: RegistryLike = None,
    trust_code: bool = False,
    strict_env: bool = False,
    env_manager: str = "local",
) -> Proof:
    """Checks a package as `penstock verify` does, and that its example and its answer fit its signature.

    The files are as they were sealed, the model loads, it answers its recorded example as recorded (labels equal,
    floats within 1e-4 relative and 1e-6 absolute), and the answer has the form that the signature names. The arguments
    are those of `load_model`. Returns what was found at load: `unjoined` says why rows of several callers would not be
    predicted together, and is empty where they would be.

    Raises AssertionError where something is missing or does not fit; SealBroken, ProofFailed and whatever else
    `load_model` raises.
    """
    environment = own_environment(env_manager, trust_code=trust_code, strict_env=strict_env)
    with fetch_model(model, registry) as package:
        loaded = load_directory(package.path, LoadOptions(trust_code, strict_env), environment)
    try:
        _check_example(loaded)
        return loaded.proof
    finally:
        loaded.close()


def _check_example(loaded: LoadedModel) -> None:
    """Raises AssertionError, and PackageInvalid for an example that does not fit the signature."""
    package = loaded.package
    example = package.example()
    if example is None:
        raise AssertionError(f"{package.path} has no example: package the model with one.")
    if loaded.proof.warnings:
        raise AssertionError(f"{package.path}: {loaded.proof.warnings[0]}")
    if not loaded.proof.repeats and package.manifest.deterministic:
        raise AssertionError(f"{package.path} has no recorded answer to its example: package the model with Penstock.")
    signature = loaded.signature
    if signature is None:
        raise AssertionError(f"{package.path} has no signature: package the model with an example, or give one.")
    if signature.outputs and not signature.hinted:
        answer = loaded.predictor.predict(example.payload, example.params)
        violations = conform(answer, signature.outputs, Casting.TENSOR, limit=1, side_by_side=True).violations
        if violations:
            raise AssertionError(
                f"{package.path}: its answer to the example does not fit its signature: {violations[0]}."
            )
