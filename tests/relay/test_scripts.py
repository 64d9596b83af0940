from __future__ import annotations

from hashlib import sha1

from hypothesis import given, strategies as st

from connecttrade_async.relay import scripts
from connecttrade_async.relay.scripts import RelayKeys, Script


@given(st.text(min_size=1), st.text(min_size=1))
def test_keys_share_one_hash_slot_and_do_not_hold_the_client_id(one: str, other: str) -> None:
    keys, others = RelayKeys.of("ct", one), RelayKeys.of("ct", other)
    tags = {key.partition("}")[0] for key in keys}
    assert len(tags) == 1
    assert len(set(keys)) == len(keys)
    assert (keys == others) == (one == other)
    assert keys.lease.startswith("{ct:")
    assert keys.lease.endswith("}:lease")


def test_keys_of_another_prefix_are_different() -> None:
    assert not set(RelayKeys.of("a", "client")) & set(RelayKeys.of("b", "client"))


def test_script_has_the_digest_by_which_the_server_knows_it() -> None:
    assert Script("return 1").digest == sha1(b"return 1").hexdigest()  # noqa: S324 - the server's own choice
    found = [each for each in vars(scripts).values() if isinstance(each, Script)]
    assert len({each.digest for each in found}) == len(found) == 6
