"""The images that a network sees besides the one that is restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from care_bridge.axes import by_letter
from care_bridge.errors import AxesError, ConfigError
from care_bridge.images import open_source
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import ImageSource
from care_bridge.package.spec import ModelSpec, TensorSpec
from care_bridge.runtime.options import RestoreOptions


def check_inputs(spec: ModelSpec, options: RestoreOptions) -> None:
    """Raise ConfigError where the option inputs names what the model does not take besides its
    image."""
    known = [tensor.id for tensor in spec.more_inputs]
    for name in options.inputs or {}:
        if name not in known:
            takes = f"besides the image it takes {', '.join(known)}"
            raise ConfigError(
                f'the model {spec.name} has no input "{name}" that a file can be given for: '
                + (takes if known else "it takes the image alone, leave inputs out")
            )


@contextmanager
def open_more(
    spec: ModelSpec, options: RestoreOptions, info: ImageInfo
) -> Iterator[tuple[ImageSource, ...]]:
    """The images for the inputs besides the first one, as the option inputs names them, in the
    network's order. info: the image that is restored.

    ConfigError where one is missing, AxesError where one does not fit the image.
    """
    given = options.inputs or {}
    with ExitStack() as opened:
        sources = []
        for tensor in spec.more_inputs:
            if tensor.id not in given:
                raise ConfigError(
                    f'the model {spec.name} needs an image for its input "{tensor.id}": give it '
                    f"with inputs {tensor.id}=FILE"
                )
            source = opened.enter_context(open_source(given[tensor.id], options.axes))
            _check(source.info, tensor, info)
            sources.append(source)
        yield tuple(sources)


def _check(info: ImageInfo, tensor: TensorSpec, first: ImageInfo) -> None:
    sizes, expected = info.sizes, first.sizes
    wrong = any(sizes.get(axis, 1) != expected.get(axis, 1) for axis in "ZYX") or any(
        sizes.get(axis, 1) not in (1, expected.get(axis, 1)) for axis in "ST"
    )
    if wrong or sizes.get("C", 1) != len(tensor.channel_names):
        raise AxesError(
            f'the image for the input "{tensor.id}" is of {by_letter(sizes)}, expected the size of '
            f"the image to restore, {by_letter(expected)}, and {len(tensor.channel_names)} channels"
        )
