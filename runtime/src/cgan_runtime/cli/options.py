"""Options that several commands have."""

import click

from cgan_runtime.errors import InputError


def check_hash(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no SHA-256."""
    from cgan_runtime.model_file.checksum import parse_sha256

    try:
        return None if value is None else parse_sha256(value)
    except InputError as error:
        raise click.BadParameter(str(error)) from error


expect_sha256 = click.option(
    "--expect-sha256",
    metavar="HEX",
    callback=check_hash,
    help="Refuse a model file whose SHA-256 is another one.",
)
