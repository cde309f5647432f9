"""The URL to publish to, made of an output's ingest URL and its stream key."""

from __future__ import annotations


def join_output(output_url: str, stream_key: str | None) -> str:
    """
    Join ingest URL and stream key as streaming programs do: with a slash. MetaStudio does not say how it does.

    :param output_url: ``rtmp://`` or ``rtmps://`` URL.
    :param stream_key: None or empty if the URL contains it.
    :raises ValueError: if the URL is of another scheme (FFmpeg would write local files as well) or has spaces;
        the text does not quote it.
    """
    if not output_url.lower().startswith(("rtmp://", "rtmps://")):
        raise ValueError("output_urls: an RTMP URL begins with rtmp:// or rtmps://")
    url = f"{output_url.rstrip('/')}/{stream_key.lstrip('/')}" if stream_key else output_url
    if not url.isprintable() or " " in url:
        raise ValueError("output_urls, stream_keys: spaces and control characters are not allowed")
    return url
