import json

import pytest

from chalicelib.config import find_service
from tests.cli.service import COLLECTION, FOREIGN_SESSION, IMAGE, OTHER_COLLECTION, SESSION, TOKEN, Service, problem

KEY = f"direct/{COLLECTION}/{SESSION}/slide.svs"


def test_a_slide_is_uploaded_and_submitted(run, slide, service: Service, objects, s3, bucket):
    path = slide()

    ended = run("-i", path, "-s", SESSION)

    assert ended.code == 0
    assert ended.out == "1 accepted, 0 refused\n"
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == path.read_bytes()
    assert list(objects()) == [KEY]
    assert service.submitted() == [
        {
            "source": f"s3://{bucket}/{KEY}",
            "collection": COLLECTION,
            "session": SESSION,
            "base_only": False,
            "overwrite": False,
            "force": False,
            "on_bad_tile": "blank",
            "associated": False,
        }
    ]
    assert f"{service.url}/jobs/" in ended.err


def test_every_option_of_the_slide_reaches_the_service(run_slide, service: Service):
    run_slide(
        "-t",
        256,
        "-m",
        IMAGE,
        "-b",
        "-o",
        "--on-bad-tile",
        "skip",
        "--associated",
        "--callback-url",
        "https://example.org/hook",
    )

    (sent,) = service.submitted()
    assert (sent["tile_size"], sent["mongo_collection"], sent["base_only"], sent["overwrite"]) == (
        256,
        IMAGE,
        True,
        True,
    )
    assert (sent["on_bad_tile"], sent["associated"]) == ("skip", True)
    assert sent["callback_url"] == "https://example.org/hook"


def test_an_object_is_submitted_where_it_is(run, service: Service, objects):
    ended = run("-i", "s3://slides/a/b.svs", "-s", SESSION)

    assert ended.code == 0
    assert service.submitted()[0]["source"] == "s3://slides/a/b.svs"
    assert objects() == {}


def test_damaged_tiles_are_told(run_slide, service: Service):
    service.endings[".svs"] = {"bad_tiles": {"count": 16}, "result": {"image": IMAGE, "image_store": "d" * 24}}
    ended = run_slide("--wait")

    assert ended.code == 0
    job = next(iter(service.jobs))
    assert f"done  s3://slides/slide.svs: 16 damaged tiles, see {service.url}/jobs/{job}; image {IMAGE}" in ended.out
    assert ended.out.endswith("1 done, 0 not done; 1 with damaged tiles\n")


def test_wait_follows_the_job_to_its_end(run_slide, service: Service):
    ended = run_slide("--wait")

    assert ended.code == 0
    assert ended.out.endswith("1 done, 0 not done\n")
    assert f"done  s3://slides/slide.svs: image {IMAGE}" in ended.out
    assert f"{service.url}/pages/viewer?slide={next(iter(service.jobs))}" in ended.out
    assert [line for line in ended.err.splitlines() if line.startswith("slide.svs: ")] == [
        "slide.svs: queued",
        "slide.svs: tiling",
        "slide.svs: done",
    ]


@pytest.mark.parametrize("state", ["failed", "cancelled", "superseded"])
def test_a_job_that_ends_otherwise_is_told_with_its_reason(run_slide, service: Service, state):
    error = {"code": "truncated", "message": "tile (3, 4) lies behind the end", "hint": "Upload it again."}
    service.endings[".svs"] = {"state": state, "error": error}

    ended = run_slide("--wait")

    assert ended.code == 1
    assert f"{state}  s3://slides/slide.svs: tile (3, 4) lies behind the end (truncated). Upload it again." in ended.err
    assert "0 done, 1 not done" in ended.out


def test_a_job_that_ends_without_a_reason_is_told_too(run_slide, service: Service):
    service.endings[".svs"] = {"state": "cancelled", "error": None}

    ended = run_slide("--wait")

    assert ended.code == 1
    assert "cancelled  s3://slides/slide.svs" in ended.err


def test_waiting_ends_when_the_time_is_up_and_the_job_goes_on(run_slide, service: Service):
    service.endless = True

    ended = run_slide("--wait", "--timeout", "0.05")

    assert ended.code == 1
    assert "the job continues, see" in ended.err
    assert f"{service.url}/jobs/" in ended.err


def test_a_job_that_vanishes_is_told(run_slide, service: Service):
    respond = service.respond

    def forget(method, path, body, token):
        service.jobs.clear() if path.startswith("/jobs/") else None
        return respond(method, path, body, token)

    service.respond = forget  # type: ignore[method-assign]

    ended = run_slide("--wait")

    assert ended.code == 1
    assert "lost     s3://slides/slide.svs: there is no job" in ended.err


def test_json_is_one_document_and_nothing_else(run_slide, service: Service):
    document = run_slide("--json", "--wait", "-v").document

    assert (document["exit_code"], document["error"], document["failed"]) == (0, None, 0)
    assert document["session"] == {"id": SESSION, "label": "First", "collection": COLLECTION}
    (entry,) = document["slides"]
    assert entry["input"] == "s3://slides/slide.svs"
    assert entry["job"]["state"] == "done"


def test_json_tells_a_refusal_with_its_code(run_slide, service: Service):
    service.refused[".svs"] = problem(422, "no_image_store", "the collection has no image store", "Give it one.")

    ended = run_slide("--json")

    assert ended.code == ended.document["exit_code"] == 1
    assert ended.document["slides"][0]["error"] == {
        "code": "no_image_store",
        "message": "the collection has no image store",
        "hint": "Give it one.",
    }


def test_json_tells_what_ended_the_run(run_slide, service: Service):
    ended = run_slide("--json", "--token", "another")

    assert ended.code == ended.document["exit_code"] == 3
    assert ended.document["error"]["message"] == "the service does not accept this token"
    assert ended.document["slides"] == []


def test_the_fields_that_are_wrong_are_named(run_slide, service: Service):
    errors = [{"pointer": "/tile_size", "detail": "must be even"}, {"pointer": "/source", "detail": "is odd"}]
    service.refused[".svs"] = problem(422, "invalid_request", "invalid fields", errors=errors)

    ended = run_slide()

    assert ended.code == 1
    assert (
        "refused  s3://slides/slide.svs: tile_size: must be even; source: is odd (invalid_request). Do it otherwise."
        in ended.err
    )


def test_control_characters_of_the_service_do_not_reach_the_terminal(run_slide, service: Service):
    service.refused[".svs"] = problem(422, "bad\x1b[31m", "red\x1b[2J and \u202egnorw", "hint\x07")

    ended = run_slide()

    assert "\x1b" not in ended.err
    assert "\x07" not in ended.err
    assert "\u202e" not in ended.err
    assert "red [2J and  gnorw" in ended.err


# -- the session -------------------------------------------------------------------------------------------------------


def test_a_collection_that_does_not_exist_is_told(run, slide, service: Service, objects):
    ended = run("-i", slide(), "-s", SESSION, collection="f" * 24)

    assert ended.code == 2
    assert f"collection {'f' * 24} does not exist (not_found)" in ended.err
    assert (service.writes(), objects()) == ([], {})


def test_a_session_that_does_not_exist_is_told(run, slide, service: Service, objects):
    ended = run("-i", slide(), "-s", "f" * 24)

    assert ended.code == 2
    assert f"session {'f' * 24} does not exist" in ended.err
    assert (service.writes(), objects()) == ([], {})


def test_a_session_of_another_collection_is_told(run, slide, service: Service, objects):
    ended = run("-i", slide(), "-s", FOREIGN_SESSION)

    assert ended.code == 2
    assert f"session {FOREIGN_SESSION} does not belong to collection {COLLECTION}" in ended.err
    assert (service.writes(), objects()) == ([], {})


def test_a_session_is_emptied_only_after_a_yes(run_slide, service: Service):
    unasked = run_slide("--recreate-session")
    assert unasked.code == 2
    assert "--recreate-session requires --yes" in unasked.err
    assert service.writes() == []

    agreed = run_slide("--recreate-session", "--yes")
    assert agreed.code == 0
    assert [path for path, _ in service.writes()] == [f"/sessions/{SESSION}/recreate", "/hooks/upload"]
    assert f"3 slides were removed from session {SESSION}" in agreed.err


class Terminal:
    """A keyboard at which one line is typed."""

    def __init__(self, typed: str) -> None:
        self.typed = typed

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.typed


@pytest.mark.parametrize(
    ("typed", "code", "writes"), [("n\n", 2, 0), ("", 2, 0), ("\n", 2, 0), ("y\n", 0, 2), ("Yes\n", 0, 2)]
)
def test_the_question_is_asked_and_the_answer_counts(run_slide, service: Service, monkeypatch, typed, code, writes):
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    ended = run_slide("--recreate-session")

    assert f"Really remove all slides from session {SESSION} (First)? [y/N]" in ended.err
    assert (ended.code, len(service.writes())) == (code, writes)


# -- the service -------------------------------------------------------------------------------------------------------


def test_a_service_that_is_not_there_is_told(run_slide, service: Service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    ended = run_slide("--api", "http://127.0.0.1:9")

    assert ended.code == 3
    assert "http://127.0.0.1:9 does not respond ([Errno 111] Connection refused)" in ended.err


def test_a_token_that_is_refused_is_told_and_never_shown(run_slide, service: Service):
    ended = run_slide("--token", "secret-of-another", "-vvv")

    assert ended.code == 3
    assert "the service does not accept this token" in ended.err
    assert "secret-of-another" not in ended.err + ended.out


def test_the_token_is_shown_at_no_verbosity(run_slide, service: Service):
    ended = run_slide("-vvvv", "--wait", "--json")

    assert TOKEN not in ended.err + ended.out


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "naïve"])
def test_a_token_that_no_header_can_hold_is_not_repeated(run_slide, service: Service, token):
    ended = run_slide("--token", token)

    assert ended.code == 2
    assert token not in ended.err
    assert "the token contains invalid characters" in ended.err


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "host:80",
        "http://",
        "http://me:secret@host",
        "http://[",
        "http://host:x",
        "http://a[::1]",
        "http://[127.0.0.1]/",
    ],
)
def test_an_address_that_is_none_is_told(run_slide, service: Service, url):
    ended = run_slide("--api", url)

    assert ended.code == 2
    assert "must look like https://host" in ended.err
    assert "secret" not in ended.err


def test_a_server_of_another_kind_is_told(run_slide, service: Service):
    service.next_answers.append((200, {"Content-Type": "text/html"}, b"<html>"))

    ended = run_slide()

    assert ended.code == 3
    assert "Check that --api is the URL of a Slidehook service" in ended.err


def test_redirects_are_not_followed_with_the_token(run_slide, service: Service):
    service.next_answers.append((302, {"Location": f"{service.url}/elsewhere"}, b""))

    ended = run_slide()

    assert ended.code == 3
    assert len(service.calls) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_service_that_is_busy_for_a_moment_is_asked_again(run_slide, service: Service, status):
    service.next_answers.append(problem(status, "transient", "busy"))

    ended = run_slide()

    assert ended.code == 0
    assert [path for _, path, _ in service.calls[:2]] == [f"/collections/{COLLECTION}"] * 2


def test_a_service_that_asks_for_patience_is_given_it(run_slide, service: Service, monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    status, headers, body = problem(503, "transient", "busy")
    service.next_answers.append((status, headers | {"Retry-After": "7"}, body))

    ended = run_slide()

    assert ended.code == 0
    assert waited == [7.0]


def test_a_service_that_keeps_failing_is_told(run_slide, service: Service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    service.next_answers += [problem(503, "transient", "MongoDB does not answer", "Wait.")] * 6

    ended = run_slide()

    assert ended.code == 3
    assert "the service responded with status 503: MongoDB does not answer (service_failed). Wait." in ended.err


def test_a_service_that_is_away_while_a_job_is_followed_is_waited_for(run_slide, service: Service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)

    respond, away = service.respond, iter(range(8))

    def away_for_a_while(method, path, body, token):
        if path.startswith("/jobs/") and next(away, None) is not None:
            return problem(503, "transient", "starting")
        return respond(method, path, body, token)

    service.respond = away_for_a_while  # type: ignore[method-assign]

    assert run_slide("--wait").code == 0


def test_the_flag_comes_before_the_environment_and_that_before_the_file(tmp_path):
    (tmp_path / ".local").mkdir()
    stack = {"api": "http://127.0.0.1:1", "token": "of-the-file"}
    (tmp_path / ".local" / "stack.json").write_text(json.dumps(stack))
    environment = {"SLIDEHOOK_API": "http://127.0.0.1:2", "SLIDEHOOK_TOKEN": "of-the-environment"}

    assert find_service("http://x", "flag", [tmp_path], environment) == ("http://x", "flag")
    assert find_service(None, None, [tmp_path], environment) == ("http://127.0.0.1:2", "of-the-environment")
    assert find_service(None, None, [tmp_path / "deeper", tmp_path], {}) == ("http://127.0.0.1:1", "of-the-file")
    assert find_service("http://x", None, [tmp_path], {}) == ("http://x", "")
    assert find_service(None, None, [tmp_path / "deeper"], {}) == ("", "")


def test_without_any_service_the_ways_to_name_one_are_told(run_slide, service: Service, monkeypatch, tmp_path):
    monkeypatch.delenv("SLIDEHOOK_API")
    monkeypatch.setattr("chalicelib.cli.command.PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)

    ended = run_slide()

    assert ended.code == 2
    assert "no service: use --api, set SLIDEHOOK_API, or start a local one with `make run`" in ended.err


def test_the_service_of_the_folder_above_is_found(run, slide, service: Service, monkeypatch, tmp_path):
    path = slide()
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(json.dumps({"api": service.url, "token": TOKEN}))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.delenv("SLIDEHOOK_API")
    monkeypatch.delenv("SLIDEHOOK_TOKEN")
    monkeypatch.chdir(tmp_path / "deep" / "er")

    assert run("-i", path, "-s", SESSION).code == 0


def test_a_token_on_an_open_line_is_warned_of(run_slide, service: Service, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)

    ended = run_slide("--api", "http://0.0.0.0:9")

    assert ended.code == 3
    assert "the token is sent unencrypted" in ended.err


def test_the_collection_of_the_session_may_be_the_other_one(run, slide, service: Service):
    ended = run("-i", slide(), "-s", FOREIGN_SESSION, collection=OTHER_COLLECTION)

    assert ended.code == 0
