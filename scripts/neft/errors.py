"""The one exception that a user is meant to read."""


class NeftError(Exception):
    """A mistake in the config, a file or a setting.

    The message says what is wrong, where (key or file) and what is allowed; the command line shows it without a traceback.
    """
