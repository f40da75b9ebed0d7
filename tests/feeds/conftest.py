from tests.support.fixtures import make_server, protocol, server, session

__all__ = ["make_server", "protocol", "server", "session"]
