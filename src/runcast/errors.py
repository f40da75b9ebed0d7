"""Every error that Runcast raises on purpose.

    RuncastError
    ├── InvalidInput              what was given cannot be used; names the field and the limit
    │   ├── InvalidEvent
    │   ├── InvalidStreamName
    │   ├── InvalidCursor
    │   ├── InvalidFilter
    │   ├── UnreadableDocument    a document for the knowledge base is damaged, encrypted, or no text at all
    │   └── TooLarge
    ├── NotFound                  what was named is not there
    │   ├── KeyNotFound           there is no such API key
    │   ├── AgentNotFound         no agent of this id is registered
    │   ├── ApprovalNotFound      nobody is asked that, or it was answered
    │   ├── DocumentNotFound      the knowledge base has no such document
    │   └── StreamNotFound        no event was ever published there, or it was removed
    ├── Discontinued              reading cannot simply go on; `cursor` says where it can
    │   ├── StreamGap             events are not kept any more
    │   └── StreamReset           the stream was cleared or begun anew
    ├── Refused                   understood, and not allowed
    │   ├── Unauthenticated       who asks is not known: no credentials, or none that count
    │   ├── IdentityUnavailable   (retryable) who asks cannot be found out now
    │   ├── Forbidden
    │   ├── Conflict              it makes no sense in the state that things are in
    │   ├── TooMany               (retryable) a limit on connections or on rate
    │   └── Restarting            (retryable) this process takes no new clients any more
    ├── LogError                  the log cannot do it
    │   ├── Busy                  (retryable) the append queue is full or the file stays locked
    │   ├── LogUnavailable        (retryable) the server that keeps the log does not answer
    │   ├── LogClosed             (retryable)
    │   ├── LogFull               (retryable) no space is left on the disk
    │   ├── LogReadOnly
    │   ├── LogCorrupt
    │   ├── LogGone               the file was removed or replaced while it was open
    │   ├── LogTooNew             written by a newer Runcast
    │   ├── NoFirehose            the log was made without one: its streams are read one by one
    │   └── StaleToken            a lease was lost to another owner
    ├── ServerError               a server was asked, and its answer is none that a client can use
    │   └── Unreachable           (retryable) nobody answers there
    ├── ModelError                a language model was asked, and has not answered as it should
    │   ├── ModelUnavailable      it cannot be asked as things are set; says what to set
    │   ├── ModelUnreachable      (retryable) nobody answers there
    │   ├── ModelBusy             (retryable) it asks to try again later, or is silent
    │   └── ModelInterrupted      (retryable) its answer broke off in the middle
    ├── KnowledgeError            the knowledge base cannot do it
    └── ConfigError               a setting has a value that it cannot have

Each class has a stable `code` for programs, says whether trying again may help (`retryable`), and has a
sentence for people that an instance may replace by a better one.
"""

from __future__ import annotations

from typing import ClassVar


class RuncastError(Exception):
    """The root. `str(error)` is one sentence that may be shown to the person who asked."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "Something went wrong."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class InvalidInput(RuncastError):
    """What was given cannot be used. `field` names the part at fault, where there is one."""

    code = "invalid_input"
    message = "The input is not valid."

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidEvent(InvalidInput):
    """An event breaks a rule of its kind, or one of those that hold for every kind."""

    code = "invalid_event"
    message = "The event is not valid."


class InvalidStreamName(InvalidInput):
    """A stream is called `kind:id`, both of a limited alphabet."""

    code = "invalid_stream_name"
    message = "The name of the stream is not valid."


class InvalidCursor(InvalidInput):
    """A cursor is not one of ours, or is one of another stream."""

    code = "invalid_cursor"
    message = "The cursor is not valid."


class InvalidFilter(InvalidInput):
    """A filter has an unknown key, a value of the wrong type, or too many entries."""

    code = "invalid_filter"
    message = "The filter is not valid."


class UnreadableDocument(InvalidInput):
    """A document is damaged, encrypted, or holds no text."""

    code = "unreadable_document"
    message = "The document cannot be read."


class TooLarge(InvalidInput):
    """Something is over its limit in bytes or in count."""

    code = "too_large"
    message = "The input is too large."


class NotFound(RuncastError):
    """What was named is not there."""

    code = "not_found"
    message = "There is nothing of this name."


class KeyNotFound(NotFound):
    """There is no API key of this id, or it counts no longer."""

    code = "key_not_found"
    message = "There is no such key, or it was revoked already."


class AgentNotFound(NotFound):
    """No agent of this id is registered."""

    code = "agent_not_found"
    message = "There is no such agent."


class ApprovalNotFound(NotFound):
    """Nobody is asked for this approval, or what asked for it is over."""

    code = "approval_not_found"
    message = "There is no such approval that waits for an answer."


class DocumentNotFound(NotFound):
    """There is no document of this name in the knowledge base."""

    code = "document_not_found"
    message = "There is no such document in the knowledge base."


class StreamNotFound(NotFound):
    """Nothing was ever published to this stream, or it was removed by retention."""

    code = "stream_not_found"
    message = "There is no such stream."


class Discontinued(RuncastError):
    """Reading cannot simply go on; it can after `cursor`, with what is missing lost."""

    code = "discontinued"
    message = "Reading cannot simply go on."

    def __init__(self, message: str | None = None, *, cursor: str) -> None:
        super().__init__(message)
        self.cursor = cursor


class StreamGap(Discontinued):
    """Events between the reader's place and `cursor` are not kept any more."""

    code = "gap"


class StreamReset(Discontinued):
    """The stream was cleared or begun anew; `cursor` is its start."""

    code = "reset"


class Refused(RuncastError):
    """Understood, and not allowed."""

    code = "refused"
    message = "This is not allowed."


class Unauthenticated(Refused):
    """Who asks is not known: no credentials, or wrong, expired or revoked ones."""

    code = "unauthenticated"
    message = (
        "Credentials are needed: an API key or a token, as `Authorization: Bearer …`, or as the first message "
        'of a WebSocket: {"type": "auth", "token": "…"}.'
    )


class IdentityUnavailable(Refused):
    """Who asks cannot be found out now, as the keys that tokens are checked with cannot be had."""

    code = "identity_unavailable"
    retryable = True
    message = "Keys and tokens cannot be checked at the moment; try again later."


class Forbidden(Refused):
    """The caller may not do this, or not from there."""

    code = "forbidden"
    message = "You may not do this."


class Conflict(Refused):
    """It makes no sense in the state that things are in: what is to be cancelled is over, what is asked was answered."""

    code = "conflict"
    message = "This makes no sense in the state that it is in."


class TooMany(Refused):
    """A limit on connections, subscriptions or rate is reached; `retry_after_s` says when to try again."""

    code = "too_many"
    retryable = True
    message = "Too many at once; try again later."

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Restarting(Refused):
    """This process is about to end and takes no new clients; another one is likely there in a moment."""

    code = "restarting"
    retryable = True
    message = "This server is about to restart; reconnect in a moment."


class LogError(RuncastError):
    """The log cannot do what it was asked."""

    code = "log_error"
    message = "The log failed."


class Busy(LogError):
    """The append queue is full, or another process keeps the file locked. Nothing was stored."""

    code = "busy"
    retryable = True
    message = "The log is busy; nothing was stored. Try again in a moment."


class LogUnavailable(LogError):
    """The server that keeps the log does not answer. It may have stored the events: an `id` makes repeating harmless."""

    code = "log_unavailable"
    retryable = True
    message = "The log's server does not answer; try again in a moment."


class LogClosed(LogError):
    """The log was closed before this could be done. Nothing was stored."""

    code = "log_closed"
    retryable = True
    message = "The log is closed."


class LogFull(LogError):
    """The disk is full. Nothing was stored; appends work again as soon as there is space."""

    code = "log_full"
    retryable = True
    message = "The disk that holds the log is full; nothing was stored."


class LogReadOnly(LogError):
    """The log's file, or its folder, may not be written by this process."""

    code = "log_read_only"
    message = "The log may only be read by this process."


class LogCorrupt(LogError):
    """The file is not a log, or is damaged."""

    code = "log_corrupt"
    message = "The log's file is damaged or is not a Runcast log."


class LogGone(LogError):
    """The log's file was removed or replaced while it was open. Nothing was stored: it could never be read again."""

    code = "log_gone"
    message = "The log's file was removed or replaced; nothing was stored. Restart whatever uses it."


class NoFirehose(LogError):
    """The log was made without one order over all of its streams."""

    code = "no_firehose"
    message = "This log was made without a firehose (firehose=false): its streams are read one by one."


NEVER = (LogClosed, LogReadOnly, NoFirehose)
"""What a log says that will not do it, however long one waits: whatever follows the log ends by itself."""


class LogTooNew(LogError):
    """The file was written by a newer version, whose format this one does not know."""

    code = "log_too_new"
    message = "The log was written by a newer version of Runcast; please upgrade."


class StaleToken(LogError):
    """The lease that this append relied on has gone to another owner. Nothing was stored."""

    code = "stale_token"
    message = "The lease was lost to another owner; nothing was stored."


class ServerError(RuncastError):
    """What a client asked a server for has failed there, or whoever answers is no Runcast."""

    code = "server_error"
    message = "The server failed."


class Unreachable(ServerError):
    """Nobody answers at the server's address, or the connection broke before the answer was there."""

    code = "unreachable"
    retryable = True
    message = "The server cannot be reached."


class ModelError(RuncastError):
    """A language model was asked, and has not answered as it should. What went before is lost."""

    code = "model_failed"
    message = "The language model has not answered as it should."


class ModelUnavailable(ModelError):
    """The model cannot be asked as things are set: a wrong key, an unknown model, no credit. Says what to set."""

    code = "model_unavailable"
    message = "The language model cannot be asked; see RUNCAST_LLM_BASE_URL, _API_KEY and _MODEL."


class ModelUnreachable(ModelError):
    """Nobody answers at the model's address."""

    code = "model_unreachable"
    retryable = True
    message = "Nobody answers at the language model's address; see RUNCAST_LLM_BASE_URL."


class ModelBusy(ModelError):
    """The model has too much to do, or is silent for too long; `retry_after_s` says when to try again."""

    code = "model_busy"
    retryable = True
    message = "The language model has too much to do; try again later."

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelInterrupted(ModelError):
    """An answer broke off in the middle, after part of it was handed out; it is not asked for again by itself."""

    code = "model_interrupted"
    retryable = True
    message = "The language model's answer broke off in the middle."


class KnowledgeError(RuncastError):
    """The file of the knowledge base cannot be opened, read or written."""

    code = "knowledge_error"
    message = "The knowledge base failed."


class ConfigError(RuncastError):
    """A setting has a value that it cannot have."""

    code = "config_error"
    message = "The configuration is not valid."
