"""What an address keeps of a URL, and that its secret is in nothing that is written."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetune.config import Config
from gazetune.config.address import Address, has_unencoded_secret, with_secret
from gazetune.config.config_file import build_config, dump_config, load_config, write_config
from gazetune.config.yaml_file import dump_yaml
from gazetune.errors import InputError
from gazetune.errors.redact import hide_password, hide_secrets

KEYS = ("tracking.uri", "search.storage", "gaze.store")
"""The config keys that hold an address."""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("postgresql+psycopg2://me:CANARY@h:5/d", "postgresql+psycopg2://me@h:5/d"),
        ("postgresql://me@h/d?password=CANARY&connect_timeout=3", "postgresql://me@h/d?connect_timeout=3"),
        ("postgresql://me:CA/NA@R?Y@h/d", "postgresql://me@h/d"),
        ("postgresql://me:[CANARY]:=?@127.0.0.1:1/d", "postgresql://me@127.0.0.1:1/d"),
        ("postgresql://me:CANARY", "postgresql://me@"),
        ("postgresql://me:5CANARY/db", "postgresql://me@/db"),
        ("mssql+pyodbc:///?odbc_connect=Driver%3Dx%3BPWD%3DCANARY", "mssql+pyodbc:///"),
        ("http://me:CANARY@h:5000/mlflow", "http://h:5000/mlflow"),
        ("https://CANARY@h", "https://h"),
        ("http://h?token=CANARY", "http://h"),
        ("s3://KEY:CANARY@bucket/gaze?region=x", "s3://bucket/gaze?region=x"),
        ("s3://bucket/gaze?endpoint_override=https%3A%2F%2FKEY%3ACANARY%40host", "s3://bucket/gaze"),
        ("s3://bucket?access_key=CANARY&secret_key=CANARY", "s3://bucket"),
    ],
)
def test_a_secret_is_taken_out_of_an_address(given: str, kept: str) -> None:
    address = Address(given)
    assert (str(address), address.with_secret, address.has_secret) == (kept, given, True)
    assert with_secret(Address(address)) == given and with_secret(copy.deepcopy([address])[0]) == given
    assert with_secret(pickle.loads(pickle.dumps(address))) == kept
    assert "CANARY" not in hide_secrets(f"connecting to {given} failed") + repr(address)
    assert "CANARY" not in hide_password(given)


@pytest.mark.parametrize(
    "given",
    [
        "sqlite:////a/b@c:d/mlflow.db",
        "sqlite:///q.db?timeout=60",
        "postgresql://me@h:1/d?options=-c%20search_path%3Dx",
        "http://[::1]:5000/a",
        "journal:/a?token=1",
        "/a/folder?password=1",
        "s3://bucket/a@b",
        "databricks",
        "",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(given: str) -> None:
    assert str(Address(given)) == given and not Address(given).has_secret


@pytest.mark.parametrize("key", KEYS)
def test_no_config_that_is_written_holds_a_secret(key: str, tmp_path: Path) -> None:
    section, name = key.split(".")
    config = build_config({section: {name: "postgresql://me:CANARY@h/d"}}, "here")
    write_config(config, tmp_path / "config.yaml")
    tree = {section: {name: getattr(getattr(config, section), name)}}
    written = [dump_config(config), dump_yaml(tree), config.model_dump_json(), repr(config), str(config)]
    written += [json.dumps(config.model_dump(mode="json")), (tmp_path / "config.yaml").read_text()]
    written += [pickle.dumps(config).decode("latin-1"), json.dumps(tree)]
    assert not any("CANARY" in each for each in written)
    assert with_secret(tree[section][name]) == "postgresql://me:CANARY@h/d"
    assert load_config(tmp_path / "config.yaml") == config


def test_a_config_that_was_written_with_a_password_still_reads(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("tracking: {uri: 'postgresql://me:p[w@h/d'}\n")
    config = load_config(tmp_path / "config.yaml")
    assert config.tracking.uri == "postgresql://me@h/d" and with_secret(config.tracking.uri).endswith("p[w@h/d")


@pytest.mark.parametrize(
    "entry",
    ["tracking.url=http://me:CANARY@h", "tracking.uri=[http://me:CANARY@h", "tracking.uri={a: 'x://a:CANARY@h'}"],
)
def test_an_entry_that_is_refused_is_shown_without_its_password(entry: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config(None, [entry])
    assert "CANARY" not in str(caught.value) and "***" in str(caught.value)


WORD = st.text("abcdefgh0123456789", min_size=1, max_size=8)


@given(
    st.sampled_from(["postgresql", "postgresql+psycopg2", "mysql", "http", "https", "s3"]),
    WORD,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    WORD,
)
def test_no_password_however_it_is_written_is_kept(scheme: str, user: str, password: str, host: str) -> None:
    canary = f"CANARY{password}CANARY"
    encoded = f"{scheme}://{user}:{quote(canary, safe='')}@{host}/db"
    assert "CANARY" not in Address(encoded) and not has_unencoded_secret(encoded)
    raw = f"{scheme}://{user}:{canary}@{host}/db"
    assert "CANARY" not in Address(raw) and "CANARY" not in hide_password(raw)
    assert "CANARY" not in Config.model_validate({"tracking": {"uri": raw}}).model_dump_json()


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ({"wandb": {"enabled": True, "api_key": "CANARY"}}, "wandb.api_key"),
        ({"comet": {"API-Key": "CANARY", "project": "a"}}, "comet.API-Key"),
        ({"monitor": [{"password": "CANARY"}]}, "monitor.0.password"),
        ({"nebula": {"hub_token": "CANARY"}}, "nebula.hub_token"),
        ({"my_secret": 123456789}, "my_secret"),
        ({"tensorboard": {"output_path": "s3://me:CANARY@host/a"}}, "tensorboard.output_path"),
    ],
)
def test_a_secret_of_deepspeed_is_refused_and_not_shown(override: dict[str, object], key: str) -> None:
    with pytest.raises(InputError) as caught:
        build_config({"deepspeed": {"override": override}}, "here")
    line = str(caught.value)
    assert "CANARY" not in line and "123456789" not in line and "\n" not in line
    assert "deepspeed.override: " in line and f"'{key}' holds a secret" in line and "WANDB_API_KEY" in line


def test_what_deepspeed_takes_otherwise_is_no_secret() -> None:
    override = {"hybrid_engine": {"max_out_tokens": 512}, "wandb": {"enabled": False, "team": "us", "api_key": None}}
    assert build_config({"deepspeed": {"override": override}}, "here").deepspeed.override == override


@pytest.mark.parametrize("entry", ["api_key=[CANARY", "api_key=CANARY", "api_key={a: CANARY"])
def test_an_entry_with_a_secret_of_deepspeed_is_shown_without_it(entry: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config(None, [f"deepspeed.override.wandb.{entry}"])
    assert "CANARY" not in str(caught.value) and "***" in str(caught.value)
