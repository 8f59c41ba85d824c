"""Tasks on whole files of internal storage: Write, Concat, Reverse, Size, Delete, LocalFiles,
PurgeCurrentExecutionFiles.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from kestrapy.plugins.properties import (
    Charset,
    Expression,
    Properties,
    Text,
    TextList,
    TextMap,
)
from kestrapy.plugins.rendering import as_list, as_map
from kestrapy.plugins.tasks.script_files import fetch, store_output_files, write_input_files
from kestrapy.plugins.tasks.streams import chunks, file_name, rows_backwards, store
from kestrapy.ports.tasks import TaskContext, TaskFailed, TaskOutcome

_MAX_URIS = 1_000
"""How many of the deleted files an output names; it also counts all."""


class WriteProperties(Properties):
    """content: the text of the file. extension: of its name, such as ``.txt``."""

    content: Text
    extension: Text | None = None


class WriteTask:
    """``io.kestra.plugin.core.storage.Write``: a text becomes a file, ``outputs.uri``."""

    def run(self, properties: WriteProperties, context: TaskContext) -> TaskOutcome:
        name = file_name("content", properties.extension or "")
        return TaskOutcome(
            outputs={"uri": store(name, iter([properties.content.encode()]), context)}
        )


class ConcatProperties(Properties):
    """files: URIs, in order. separator: text between two files. extension: of the new one."""

    files: TextList
    separator: Text | None = None
    extension: Text = ".tmp"


class ConcatTask:
    """``io.kestra.plugin.core.storage.Concat``: files become one, ``outputs.uri``."""

    def run(self, properties: ConcatProperties, context: TaskContext) -> TaskOutcome:
        files = as_list(properties.files)
        separator = (properties.separator or "").encode()
        name = file_name("concatenated", properties.extension)
        return TaskOutcome(
            outputs={"uri": store(name, _concatenated(files, separator, context), context)}
        )


def _concatenated(files: list[str], separator: bytes, context: TaskContext) -> Iterator[bytes]:
    for number, uri in enumerate(files):
        if number and separator:
            yield separator
        with context.blobs.open(uri) as content:
            yield from chunks(content)


class ReverseProperties(Properties):
    """from: URI. separator: what ends a row, a line's end by default. charset: that of the
    separator in the file, UTF-8 by default.
    """

    from_: Text = Field(alias="from")
    separator: Text = "\n"
    charset: Charset = "UTF-8"


class ReverseTask:
    """``io.kestra.plugin.core.storage.Reverse``: the last row first; ``outputs.uri``."""

    def run(self, properties: ReverseProperties, context: TaskContext) -> TaskOutcome:
        try:
            separator = properties.separator.encode(properties.charset)
        except UnicodeEncodeError as error:
            raise TaskFailed(f"separator: {error}") from None
        if not separator:
            raise TaskFailed("separator: it can't be empty")
        copy = context.working_dir / "copy"
        fetch(properties.from_, copy, context)
        with copy.open("rb") as content:
            backwards = (row + separator for row in rows_backwards(content, separator))
            return TaskOutcome(outputs={"uri": store("reversed", backwards, context)})


class SizeProperties(Properties):
    """uri: of a file."""

    uri: Text


class SizeTask:
    """``io.kestra.plugin.core.storage.Size``: ``outputs.size`` in bytes."""

    def run(self, properties: SizeProperties, context: TaskContext) -> TaskOutcome:
        return TaskOutcome(outputs={"size": context.blobs.size(properties.uri)})


class DeleteProperties(Properties):
    """uri: of a file. errorOnMissing: fail where it is not there, false by default."""

    uri: Text
    error_on_missing: bool | Expression = False


class DeleteTask:
    """``io.kestra.plugin.core.storage.Delete``: ``outputs.uri`` and ``outputs.deleted``."""

    def run(self, properties: DeleteProperties, context: TaskContext) -> TaskOutcome:
        deleted = context.blobs.delete(properties.uri)
        if properties.error_on_missing and not deleted:
            raise TaskFailed(f"{properties.uri} is not in the internal storage")
        return TaskOutcome(outputs={"uri": properties.uri, "deleted": deleted})


class LocalFilesProperties(Properties):
    """inputs: text or URI by name, put into the working directory. outputs: globs of what to
    keep of it.
    """

    inputs: TextMap = Field(default_factory=dict)
    outputs: TextList = Field(default_factory=list)


class LocalFilesTask:
    """``io.kestra.plugin.core.storage.LocalFiles``: ``outputs.uris`` by name."""

    def run(self, properties: LocalFilesProperties, context: TaskContext) -> TaskOutcome:
        write_input_files(as_map(properties.inputs), context)
        return TaskOutcome(
            outputs={"uris": store_output_files(as_list(properties.outputs), context)}
        )


class PurgeProperties(Properties):
    """No properties."""


class PurgeTask:
    """``io.kestra.plugin.core.storage.PurgeCurrentExecutionFiles``: all files of its execution
    are deleted, inputs included. ``outputs.uris`` names up to 1,000, ``outputs.count`` counts all.
    """

    def run(self, properties: PurgeProperties, context: TaskContext) -> TaskOutcome:
        deleted: list[str] = []
        count = 0
        for uri in context.blobs.list(context.execution_folder):
            if context.ending:
                raise TaskFailed("The run was ended before its time", {"count": count})
            if context.blobs.delete(uri):
                count += 1
                if count <= _MAX_URIS:
                    deleted.append(uri)
        return TaskOutcome(outputs={"uris": deleted, "count": count})
