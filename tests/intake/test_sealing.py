"""Sealing: sizes are known, keys can be rotated, and nothing that was altered or meant for another opens."""

import base64
import os
import time

import pytest

from intake import sealing
from intake.delivery import DeliveryError
from intake.sealing import identities_of, new_identity, parts_of, recipient_of, seal, sealed_sizes, unseal
from schemas.errors import UsageError


@pytest.fixture(scope="module")
def identities() -> tuple[object, ...]:
    return identities_of(new_identity())


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000])
def test_the_size_of_a_sealed_part_is_within_what_is_said(size: int, identities: tuple[object, ...]) -> None:
    recipient = recipient_of(identities)
    found = {len(seal(bytes(size), recipient)) for _ in range(50)}
    assert all(each in sealed_sizes(size) for each in found)
    assert max(found) not in sealed_sizes(size + 2_000)
    assert min(found) - 2_000 not in sealed_sizes(size)


def test_a_part_that_was_cut_is_not_of_its_size(identities: tuple[object, ...]) -> None:
    sealed = seal(bytes(100_000), recipient_of(identities))
    assert len(sealed[:65_536]) not in sealed_sizes(100_000)
    assert 0 not in sealed_sizes(0)


@pytest.mark.parametrize(("size", "parts"), [(0, [0]), (1, [1]), (10, [10]), (11, [10, 1]), (20, [10, 10]), (25, [10, 10, 5])])
def test_all_parts_but_the_last_are_full(size: int, parts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "PART_BYTES", 10)
    assert parts_of(size) == parts


def test_only_the_pool_opens_it_and_an_older_key_still_does() -> None:
    old, new = new_identity(), new_identity()
    sealed = seal(b"plain", recipient_of(identities_of(old)))
    assert unseal(sealed, identities_of(new + old)) == b"plain"
    assert recipient_of(identities_of(new + old)) == recipient_of(identities_of(new))
    with pytest.raises(DeliveryError, match="E107"):
        unseal(sealed, identities_of(new))


def test_any_altered_byte_is_refused(identities: tuple[object, ...]) -> None:
    sealed = seal(b"plain text of no one", recipient_of(identities))
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(DeliveryError):
            unseal(bytes(altered), identities)
        with pytest.raises(DeliveryError):
            unseal(sealed[:place], identities)


def test_a_header_of_many_recipients_is_refused_before_age_tries_each(identities: tuple[object, ...]) -> None:
    """Without keys, whoever writes into a drop could else keep the pool at one small file for hours."""

    def word(size: int) -> bytes:
        return base64.b64encode(os.urandom(size)).rstrip(b"=")

    stanzas = b"".join(b"-> X25519 " + word(32) + b"\n" + word(32) + b"\n" for _ in range(400))
    start = time.process_time()
    with pytest.raises(DeliveryError, match="E107"):
        unseal(b"age-encryption.org/v1\n" + stanzas + b"--- " + word(32) + b"\n" + bytes(64), identities)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("recipient", ["", "age1", "canary-51", "AGE-SECRET-KEY-1QQQ"])
def test_a_wrong_recipient_is_told_and_not_quoted(recipient: str) -> None:
    with pytest.raises(UsageError) as raised:
        seal(b"", recipient)
    assert raised.value.__context__ is None
    assert not recipient or recipient not in str(raised.value).replace("age1…", "")


def test_a_broken_identity_file_is_told_and_not_quoted() -> None:
    with pytest.raises(UsageError) as raised:
        identities_of(b"AGE-SECRET-KEY-1CANARY")
    assert "CANARY" not in repr(raised.value)
