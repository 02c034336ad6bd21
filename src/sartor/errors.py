"""Every error that Sartor expects, each with a code, an exit status and a way out.

One root, `SartorError`. A subclass fixes what kind of trouble it is (``code``, ``exit_code``); the
place that raises it says what happened, what was found and what to do. Anything that is not a
`SartorError` is a defect of Sartor and keeps its traceback. `docs/errors.md` lists the codes; a
test keeps the two equal.
"""

from __future__ import annotations

from sartor.error_root import ErrorDocument, SartorError, closest, did_you_mean, from_document

__all__ = ["ErrorDocument", "SartorError", "closest", "did_you_mean", "from_document"]

PYTHON_HEADERS = (
    "the engine compiles at run time, against Python's headers: install them (`python3-dev` on "
    "Debian and Ubuntu, `python3-devel` on Fedora and RHEL), or let uv bring a Python that has "
    "them (`uv python install`)"
)
"""The way out that two rooms show: `verify` ahead of the failure, `serve` after it."""


class UsageError(SartorError):
    """The command line does not hold together."""

    code, exit_code = "usage", 2
    summary = "the command line does not hold together"


class HostDescriptionError(SartorError):
    """A ``--host`` description cannot be read."""

    code, exit_code = "host-description", 10
    summary = "a `--host` description, or the file it names, cannot be read"


class UnknownGpuError(SartorError):
    """No GPU of that name is in the facts."""

    code, exit_code = "unknown-gpu", 11
    summary = "no GPU of that name is known"


class UnknownEngineError(SartorError):
    """No engine of that name can be served."""

    code, exit_code = "unknown-engine", 12
    summary = "no engine of that name can be served"


class NothingFitsError(SartorError):
    """Every candidate was rejected."""

    code, exit_code = "nothing-fits", 13
    summary = "every candidate was rejected for this host; each with its reason"


class ArtifactUnreadableError(SartorError):
    """A target is there, and is nothing that can be read, or is damaged as a whole."""

    code, exit_code = "artifact-unreadable", 14
    summary = "a target is damaged, or is nothing that device code is read from"


class NoSuchTargetError(SartorError):
    """There is no file, folder, project or version of that name."""

    code, exit_code = "no-such-target", 15
    summary = "there is no such file, folder, project or version to inspect"


class UntrustedBytesError(SartorError):
    """A server's answers contradict themselves, or are not what the index says of them."""

    code, exit_code = "untrusted-bytes", 18
    summary = "a server's answers contradict themselves or the hash that the index states"


class IndexUnreachableError(SartorError):
    """The package index could not be reached at all."""

    code, exit_code = "index-unreachable", 20
    summary = "the package index, or the server of a package, could not be reached"


class IndexRefusedError(SartorError):
    """The package index answered, but with an error."""

    code, exit_code = "index-refused", 21
    summary = "the package index, or a package's server, answered with an error (401, 403, 5xx …)"


class ResolutionError(SartorError):
    """The requirements cannot be met together from the configured indexes."""

    code, exit_code = "resolution", 22
    summary = "the packages cannot be had together from the configured indexes"


class DiskFullError(SartorError):
    """A file system that Sartor writes to has no room."""

    code, exit_code = "disk-full", 23
    summary = "a file system that Sartor writes to has no room left"


class FolderNotWritableError(SartorError):
    """A folder that Sartor needs cannot be written."""

    code, exit_code = "not-writable", 24
    summary = "a folder that Sartor needs cannot be written"


class CompilerMissingError(SartorError):
    """A native build was asked for on a machine without a compiler."""

    code, exit_code = "compiler-missing", 25
    summary = "`--build native` was asked for and there is no compiler"


class BuildError(SartorError):
    """The build of an environment failed for a reason of its own."""

    code, exit_code = "build-failed", 26
    summary = "building the environment failed"


class SystemLibraryMissingError(SartorError):
    """A system library that the engine needs is neither there nor to be had."""

    code, exit_code = "system-library-missing", 27
    summary = "a system library that the engine needs is missing"


class RegistryUnreachableError(SartorError):
    """A container registry could not be reached at all."""

    code, exit_code = "registry-unreachable", 28
    summary = "a container registry could not be reached, or broke off"


class RegistryRefusedError(SartorError):
    """A container registry answered, but with an error."""

    code, exit_code = "registry-refused", 29
    summary = "a container registry answered with an error, or wants a login"


class ModelNotFoundError(SartorError):
    """There is no such model file, folder or repository."""

    code, exit_code = "model-not-found", 30
    summary = "there is no such model file, folder or hub repository"


class ModelInvalidError(SartorError):
    """The model file is truncated or is not what its name says."""

    code, exit_code = "model-invalid", 31
    summary = "the model file is truncated, damaged or of another format"


class ModelTooLargeError(SartorError):
    """The model needs more memory than there is."""

    code, exit_code = "model-too-large", 32
    summary = "the model needs more memory than the machine has; said before loading"


class ModelGatedError(SartorError):
    """The hub wants its licence accepted or a token first."""

    code, exit_code = "model-gated", 33
    summary = "the hub refuses the model without an accepted licence or a token"


class HubUnreachableError(SartorError):
    """The model hub could not be reached, or broke off."""

    code, exit_code = "hub-unreachable", 34
    summary = "the model hub could not be reached, or the download broke off"


class VerifyError(SartorError):
    """The environment was built but does not pass its checks."""

    code, exit_code = "verify-failed", 40
    summary = "the environment was built but does not pass its checks"


class NoEnvironmentError(SartorError):
    """There is no environment of that name, or nothing to choose one by."""

    code, exit_code = "no-environment", 41
    summary = "there is no environment to verify, or what was named is none"


class InterpreterError(SartorError):
    """An environment's interpreter is gone, or does not start."""

    code, exit_code = "interpreter", 42
    summary = "an environment's interpreter is gone, or does not start or answer"


class ReportFileError(SartorError):
    """A file that should hold a report of `sartor verify` does not."""

    code, exit_code = "report-file", 43
    summary = "a file to compare is no report of `sartor verify`, or another version's"


class UndoRecordError(SartorError):
    """What an environment says of its slimming cannot be read, or does not bring its files back."""

    code, exit_code = "undo-record", 44
    summary = "what was slimmed in an environment cannot be read, or not be undone"


class PortInUseError(SartorError):
    """Another process listens on the port that was asked for."""

    code, exit_code = "port-in-use", 50
    summary = "another process listens on the port that was asked for"


class OptionRefusedError(SartorError):
    """The engine's version does not take an option that it would be started with."""

    code, exit_code = "option-refused", 54
    summary = "the engine's version does not take an option or variable that it would be given"


class ServerDiedError(SartorError):
    """The engine's server ended before it was asked to."""

    code, exit_code = "server-died", 51
    summary = "the engine's server ended before it was asked to"


class ServerTimeoutError(SartorError):
    """The engine's server did not become ready in time."""

    code, exit_code = "server-timeout", 52
    summary = "the engine's server did not become ready, or did not answer, in time"


class NoSuchRunError(SartorError):
    """No run of that name is known."""

    code, exit_code = "no-such-run", 53
    summary = "no run of that name is known"


class EvidenceStoreError(SartorError):
    """The evidence store cannot be used."""

    code, exit_code = "evidence-store", 60
    summary = "the evidence store is damaged, in use for too long, or a newer Sartor's"


class EvidenceFileError(SartorError):
    """A file of exported evidence cannot be taken."""

    code, exit_code = "evidence-file", 61
    summary = "a file of exported evidence is truncated, damaged, or no such file"


class NoSuchEvidenceError(SartorError):
    """No evidence of that file or package is kept."""

    code, exit_code = "no-such-evidence", 62
    summary = "no evidence is kept of what was asked for"


class LockFileError(SartorError):
    """A lock file is damaged, of another kind, or the two are not of one lock."""

    code, exit_code = "lock-file", 70
    summary = "`sartor.lock` or `pylock.toml` is damaged, a newer Sartor's, or not of one lock"


class NotLockableError(SartorError):
    """What was planned lacks something that a lock must have."""

    code, exit_code = "not-lockable", 71
    summary = "what was planned cannot be locked: a file without a hash, an index that is not named"


class OthersFileError(SartorError):
    """A file that Sartor would write is there, and Sartor did not make it."""

    code, exit_code = "others-file", 72
    summary = "a file or an entry that Sartor would write is there already and is not Sartor's"


class ProjectFileError(SartorError):
    """A project's own file cannot be read, or cannot take the stack."""

    code, exit_code = "project-file", 73
    summary = "a `pyproject.toml` or `pixi.toml` cannot be read, or cannot take the stack"


class ProjectConflictError(SartorError):
    """A project pins what the stack needs in another version."""

    code, exit_code = "project-conflict", 74
    summary = "a project pins what the stack has in another version, or excludes the machine"


class NotBundlableError(SartorError):
    """What is locked cannot go into a bundle."""

    code, exit_code = "not-bundlable", 82
    summary = "what is locked cannot be bundled: a source without a wheel, parts that are too small"


class NotSlimmableError(SartorError):
    """A package may not be changed, or what is wanted of it is not in it."""

    code, exit_code = "not-slimmable", 85
    summary = "a package is not slimmed: its licence, a signature, or what is wanted is not in it"


class BundleDamagedError(SartorError):
    """Parts or files of a bundle are missing or altered."""

    code, exit_code = "bundle-damaged", 80
    summary = "parts or files of a bundle are missing, truncated or altered; each is named"


class TargetUnfitError(SartorError):
    """The machine is not the kind that a bundle is for."""

    code, exit_code = "target-unfit", 81
    summary = "the machine is not the kind that a bundle is for, or lacks what it was said to have"


class NoPtxasError(SartorError):
    """PTX was to be compiled, and there is no ptxas that does."""

    code, exit_code = "no-ptxas", 90
    summary = "there is no ptxas that compiles the PTX for the GPU, and none could be fetched"


class InterruptedBySignal(SartorError):  # noqa: N818 - an interruption, not a fault
    """The user, or the system, asked Sartor to stop in the middle."""

    code, exit_code = "interrupted", 130
    summary = "Ctrl-C or SIGTERM in the middle; what was half done is removed"


def all_errors() -> list[type[SartorError]]:
    """Every error class, by exit code."""
    return sorted(SartorError.__subclasses__(), key=lambda c: c.exit_code)
