"""A drop in an S3-compatible store. Each put is atomic there; nothing that was listed or opened is kept between calls."""

from typing import Any

from intake.drop import Drop, Entry, as_digest
from schemas.object_store import store_filesystem
from schemas.store_errors import guarded_store

_PAGE = 1_000
_FOLDERS_A_PAGE = 10
"""So few, at least, has each page of a listing of folders with all that lies in them; where it has fewer, not all are seen."""
_WHOLE_PUT = 512 << 20  # s3fs puts what is smaller than twice this in one request


class S3Drop(Drop):
    """See Drop. There are no folders and no links in such a store, only names."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._fs = store_filesystem()

    @guarded_store
    def entries(self, folder: str, most: int) -> list[Entry]:
        """See Drop."""
        prefix, found = f"{self._prefix}{folder}/", list[Entry]()
        further: dict[str, str] = {}
        while len(found) < most:
            page = self._call("list_objects_v2", Prefix=prefix, Delimiter="/", MaxKeys=min(_PAGE, most - len(found)), **further)
            for each in page.get("CommonPrefixes", ()):
                found.append(Entry(each["Prefix"][len(prefix) : -1], 0, 0.0, is_file=False, is_folder=True))
            for each in page.get("Contents", ()):
                if name := each["Key"][len(prefix) :]:
                    found.append(Entry(name, each["Size"], each["LastModified"].timestamp(), is_file=True, is_folder=False))
            if not page.get("IsTruncated") or not page.get("NextContinuationToken"):
                break
            further = {"ContinuationToken": page["NextContinuationToken"]}
        return found[:most]

    @guarded_store
    def of_each(self, folder: str, name: str, most: int) -> dict[str, Entry]:
        """See Drop. Listed, not asked for one by one; of a folder with a thousand objects the rest is passed over."""
        prefix, found, after = f"{self._prefix}{folder}/", dict[str, Entry](), ""
        seen = set[str]()
        for _ in range(max(2, most // _FOLDERS_A_PAGE)):
            page = self._call("list_objects_v2", Prefix=prefix, MaxKeys=_PAGE, StartAfter=after)
            for each in page.get("Contents", ()):
                digest, _, rest = each["Key"][len(prefix) :].partition("/")
                seen.add(digest)
                if rest == name and as_digest(digest) and len(seen) <= most:
                    found[digest] = Entry(name, each["Size"], each["LastModified"].timestamp(), is_file=True, is_folder=False)
            if not page.get("IsTruncated") or not page.get("Contents") or len(seen) > most:
                break
            last = page["Contents"][-1]["Key"]
            digest, _, rest = last[len(prefix) :].partition("/")
            after = f"{prefix}{digest}0" if rest >= name else max(last, f"{prefix}{digest}/{name[:-1]}")  # 0 comes after /
        return found

    @guarded_store
    def look(self, path: str) -> Entry | None:
        """See Drop."""
        try:
            head = self._call("head_object", Key=self._prefix + path)
        except FileNotFoundError:
            return None
        name = path.rpartition("/")[2]
        return Entry(name, head["ContentLength"], head["LastModified"].timestamp(), is_file=True, is_folder=False)

    @guarded_store
    def read(self, path: str, most: int) -> bytes | None:
        """See Drop."""
        entry = self.look(path)
        if entry is None or entry.size > most:
            return None
        if not entry.size:
            return b""
        try:
            # A range, so that an object exchanged for a larger one meanwhile is not read beyond what was seen.
            return bytes(self._fs.cat_file(f"{self._bucket}/{self._prefix}{path}", start=0, end=entry.size))
        except FileNotFoundError:
            return None

    @guarded_store
    def write(self, path: str, data: bytes) -> None:
        """See Drop."""
        self._fs.pipe_file(f"{self._bucket}/{self._prefix}{path}", data, chunksize=_WHOLE_PUT)

    @guarded_store
    def remove(self, folder: str, names: list[str]) -> None:
        """See Drop."""
        keys = [{"Key": f"{self._prefix}{folder}/{name}"} for name in names]
        for start in range(0, len(keys), _PAGE):
            done = self._call("delete_objects", Delete={"Objects": keys[start : start + _PAGE], "Quiet": True})
            if codes := {error.get("Code") for error in done.get("Errors", ())} - {"NoSuchKey"}:
                raise PermissionError if "AccessDenied" in codes else OSError

    @guarded_store
    def remove_folder(self, folder: str) -> None:
        """See Drop. Some stores keep folders beneath, which are listed though nothing is in them."""
        self._call("delete_object", Key=f"{self._prefix}{folder}/")

    def _call(self, method: str, **named: Any) -> Any:
        return self._fs.call_s3(method, Bucket=self._bucket, **named)
