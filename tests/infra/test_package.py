"""The merged template, held against what the system needs; and what `make package` refuses.

The template is packaged from a copy of the project without libraries: which wheels go into the
layer changes nothing in the template, and downloading them takes long.
"""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deploy.package import (
    ROOT,
    PackageError,
    archives,
    package,
    refuse_foreign_wheels,
    refuse_without_viewer,
    sizes,
)

# The package is built once.
pytestmark = pytest.mark.xdist_group("package")

QUEUE_FUNCTIONS = {"Arrivals": 10, "Jobs": 1, "Chunks": 1, "DeadLetters": 10}
FUNCTIONS = {*QUEUE_FUNCTIONS, "Minute", "APIHandler"}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make package` fills, without libraries."""
    folder = tmp_path_factory.mktemp("package")
    project = folder / "project"
    project.mkdir()
    for name in ("chalicelib", ".chalice"):
        ignored = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
        shutil.copytree(ROOT / name, project / name, ignore=ignored)
    shutil.copy(ROOT / "app.py", project)
    (project / "requirements.txt").touch()
    return package(folder / "out", project=project).parent


@pytest.fixture(scope="module")
def template(packaged: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((packaged / "sam.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: entry["Properties"] for name, entry in resources.items() if entry["Type"] == kind}


def event_source(resources: dict[str, Any], function: str) -> dict[str, Any]:
    (event,) = resources[function]["Properties"]["Events"].values()
    found: dict[str, Any] = event["Properties"]
    return found


def queue_of(resources: dict[str, Any], function: str) -> str:
    """Return the logical id of the queue that a function reads."""
    match = re.fullmatch(r"\$\{(\w+)\.Arn\}", event_source(resources, function)["Queue"]["Fn::Sub"])
    assert match
    return match[1]


def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every statement that gives a function a right."""
    inline = [policy for role in of_type(resources, "AWS::IAM::Role").values() for policy in role.get("Policies", [])]
    documents = [policy["PolicyDocument"] for policy in [*inline, *of_type(resources, "AWS::IAM::Policy").values()]]
    return [statement for document in documents for statement in document["Statement"]]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def rights(resources: dict[str, Any], function: str) -> set[str]:
    """Return the actions that a function's own role is given by the policies of resources.yaml."""
    role = resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    return {
        action
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
    }


def test_every_entry_is_a_resource_and_not_a_patch_of_something_absent(resources: dict[str, Any]) -> None:
    assert [name for name, entry in resources.items() if "Type" not in entry] == []
    assert set(of_type(resources, "AWS::Serverless::Function")) == FUNCTIONS


def test_every_reference_has_its_target(template: dict[str, Any]) -> None:
    known = {*template["Resources"], *template["Parameters"]}
    found: set[str] = set()

    def walk(value: Any, inner: frozenset[str] = frozenset()) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item, inner)
        elif isinstance(value, dict):
            for key, item in value.items():
                if key == "Ref":
                    found.add(item)
                elif key == "Fn::GetAtt":
                    found.add(item[0])
                elif key == "Fn::Sub":
                    text, local = (item, {}) if isinstance(item, str) else item
                    names = {name.partition(".")[0] for name in re.findall(r"\$\{([^}]+)\}", text)}
                    found.update(names - set(local))
                    walk(local)
                elif key == "DependsOn":
                    found.update(as_list(item))
                else:
                    walk(item, inner)

    walk(template)
    assert {name for name in found if not name.startswith("AWS::")} <= known


def test_no_value_has_two_functions(template: dict[str, Any]) -> None:
    """The merge adds keys: a patch in other words than Chalice's would leave both."""

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            functions = [key for key in value if key == "Ref" or key.startswith("Fn::")]
            assert not functions or len(value) == 1, value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            walk(item)

    walk(template)


def test_the_template_has_no_yaml_aliases(packaged: Path) -> None:
    text = (packaged / "sam.yaml").read_text(encoding="utf-8")
    assert re.findall(r"[:-] [&*]id\d+", text) == []


def test_cloudformation_lint_finds_nothing(packaged: Path) -> None:
    command = [Path(sys.executable).with_name("cfn-lint"), "--regions", "us-east-1", "--", packaged / "sam.yaml"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_queues_hide_a_message_for_six_timeouts_of_their_function(resources: dict[str, Any]) -> None:
    for function in QUEUE_FUNCTIONS:
        visibility = resources[queue_of(resources, function)]["Properties"]["VisibilityTimeout"]
        window = event_source(resources, function).get("MaximumBatchingWindowInSeconds", 0)
        assert visibility >= 6 * resources[function]["Properties"]["Timeout"] + window, function


def test_every_working_queue_gives_up_after_five_receives(resources: dict[str, Any]) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    assert set(queues) == {"ArrivalsQueue", "JobsQueue", "ChunksQueue", "DeadLettersQueue"}
    redrives = {name: queue.get("RedrivePolicy") for name, queue in queues.items()}
    to_dead_letters = {"deadLetterTargetArn": {"Fn::GetAtt": ["DeadLettersQueue", "Arn"]}, "maxReceiveCount": 5}
    assert redrives.pop("DeadLettersQueue") is None
    assert set(map(str, redrives.values())) == {str(to_dead_letters)}


def test_queues_are_encrypted_and_polled_long(resources: dict[str, Any]) -> None:
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name
        assert queue["ReceiveMessageWaitTimeSeconds"] == 20, name
    assert resources["DeadLettersQueue"]["Properties"]["MessageRetentionPeriod"] == 14 * 24 * 3600


@pytest.mark.parametrize(("function", "batch_size"), QUEUE_FUNCTIONS.items())
def test_functions_read_their_queue_and_report_single_failures(
    resources: dict[str, Any], function: str, batch_size: int
) -> None:
    source = event_source(resources, function)
    assert queue_of(resources, function) == f"{function}Queue"
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BatchSize"] == batch_size
    assert "FilterCriteria" not in source
    assert resources[function]["DependsOn"] == [f"Take{function}Policy"]


def test_parallel_writers_are_capped_on_the_event_source(resources: dict[str, Any]) -> None:
    assert event_source(resources, "Chunks")["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "ChunkConcurrency"}}
    for function in FUNCTIONS:
        assert "ReservedConcurrentExecutions" not in resources[function]["Properties"]


def test_the_timer_fires_every_minute(resources: dict[str, Any]) -> None:
    (event,) = resources["Minute"]["Properties"]["Events"].values()
    assert event["Properties"]["Schedule"] == "rate(1 minute)"


def test_the_api_answers_within_api_gateways_patience(resources: dict[str, Any]) -> None:
    assert resources["APIHandler"]["Properties"]["Timeout"] <= 29
    assert resources["RestAPI"]["Properties"]["EndpointConfiguration"] == "REGIONAL"


def test_the_api_takes_no_more_requests_than_it_is_set_to(template: dict[str, Any]) -> None:
    (limit,) = template["Resources"]["RestAPI"]["Properties"]["MethodSettings"]
    assert (limit["ResourcePath"], limit["HttpMethod"]) == ("/*", "*")
    assert limit["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert limit["ThrottlingBurstLimit"] == {"Ref": "ThrottlingBurstLimit"}


def test_the_template_keeps_sam_from_adding_an_unthrottled_stage(resources: dict[str, Any]) -> None:
    api = resources["RestAPI"]["Properties"]
    assert (api["OpenApiVersion"], api["DefinitionBody"]["swagger"]) == ("2.0", "2.0")
    assert api["StageName"] == "api"


def test_api_gateway_decodes_answers_whatever_a_browser_accepts(resources: dict[str, Any]) -> None:
    definition = resources["RestAPI"]["Properties"]["DefinitionBody"]
    assert definition["x-amazon-apigateway-binary-media-types"] == ["*/*"]
    integrations = [
        method["x-amazon-apigateway-integration"] for path in definition["paths"].values() for method in path.values()
    ]
    # A mock integration cannot read a body that counts as binary: preflights would fail.
    assert {each["type"] for each in integrations} == {"aws_proxy"}


def test_every_address_that_is_read_has_head_and_every_one_tells_its_methods(resources: dict[str, Any]) -> None:
    for path, methods in resources["RestAPI"]["Properties"]["DefinitionBody"]["paths"].items():
        assert "options" in methods, path
        assert ("head" in methods) is ("get" in methods), path


def test_functions_get_the_memory_and_settings_that_they_need(template: dict[str, Any]) -> None:
    for function in FUNCTIONS:
        assert template["Resources"][function]["Properties"]["MemorySize"] >= 512, function
    environment = template["Globals"]["Function"]["Environment"]["Variables"]
    assert environment["SLIDEHOOK_JOBS_TABLE"] == {"Ref": "JobsTable"}
    assert environment["SLIDEHOOK_JOBS_QUEUE"] == {"Ref": "JobsQueue"}
    assert environment["SLIDEHOOK_CHUNKS_QUEUE"] == {"Ref": "ChunksQueue"}
    assert environment["SLIDEHOOK_INCOMING_BUCKET"] == {"Ref": "IncomingBucket"}
    assert environment["SLIDEHOOK_WORK_BUCKET"] == {"Ref": "WorkBucket"}
    assert environment["SLIDEHOOK_MONGO_OPEN_FILES"] == {"Ref": "MongoOpenFiles"}
    assert template["Parameters"]["MongoOpenFiles"]["Default"] == 0
    assert environment["MALLOC_ARENA_MAX"] == "1"


def test_secrets_are_parameters_that_are_not_echoed(template: dict[str, Any]) -> None:
    for name, parameter in SECRETS.items():
        assert template["Globals"]["Function"]["Environment"]["Variables"][name] == {"Ref": parameter}
        assert template["Parameters"][parameter]["NoEcho"] is True
    assert "Default" not in template["Parameters"]["MongoUri"]
    assert template["Parameters"]["AllowAnonymousLocalReads"]["Default"] == "false"


SECRETS = {
    "SLIDEHOOK_CALLBACK_SECRETS": "CallbackSecrets",
    "SLIDEHOOK_CALLBACK_URLS": "CallbackUrls",
    "SLIDEHOOK_MONGO_URI": "MongoUri",
    "SLIDEHOOK_SESSION_KEY": "SessionKey",
    "SLIDEHOOK_TOKENS": "Tokens",
    "SLIDEHOOK_TOKENS_SHA256": "TokensSha256",
    "SLIDEHOOK_WEBHOOK_SECRETS": "WebhookSecrets",
}


def test_the_table_has_keys_indexes_expiry_and_recovery(resources: dict[str, Any]) -> None:
    table = resources["JobsTable"]["Properties"]
    assert [part["AttributeName"] for part in table["KeySchema"]] == ["pk", "sk"]
    indexes = {
        index["IndexName"]: [part["AttributeName"] for part in index["KeySchema"]]
        for index in table["GlobalSecondaryIndexes"]
    }
    assert indexes == {
        "recent": ["gsi_recent", "updated_at"],
        "by_state": ["gsi_state", "updated_at"],
        "by_session": ["gsi_session", "submitted_at"],
        "counted": ["gsi_state", "submitted_at"],
        "sweep": ["gsi_sweep", "sweep_at"],
    }
    projections = {
        index["IndexName"]: index["Projection"]["ProjectionType"] for index in table["GlobalSecondaryIndexes"]
    }
    assert projections.pop("counted") == "KEYS_ONLY"
    assert set(projections.values()) == {"ALL"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_deleting_the_stack_deletes_no_slide_and_no_job(resources: dict[str, Any]) -> None:
    for name in ("IncomingBucket", "WorkBucket", "JobsTable"):
        assert (resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_buckets_are_private_encrypted_and_forget_unfinished_uploads(resources: dict[str, Any]) -> None:
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"], name
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name
    refused = {
        policy["Bucket"]["Ref"]: statement["Condition"]
        for policy in of_type(resources, "AWS::S3::BucketPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    }
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    assert refused == {"IncomingBucket": insecure, "WorkBucket": insecure}


def test_the_incoming_bucket_keeps_versions_and_work_files_expire(resources: dict[str, Any]) -> None:
    assert resources["IncomingBucket"]["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = resources["WorkBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 14)


def test_the_bucket_notifies_the_arrivals_queue_which_lets_only_that_bucket_in(resources: dict[str, Any]) -> None:
    bucket = resources["IncomingBucket"]
    (recorded,) = bucket["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert recorded == {"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["ArrivalsQueue", "Arn"]}}
    assert bucket["DependsOn"] == ["ArrivalsQueuePolicy"]
    (statement,) = resources["ArrivalsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Principal"]) == ("sqs:SendMessage", {"Service": "s3.amazonaws.com"})
    name = bucket["Properties"]["BucketName"]["Fn::Sub"]
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"] == "arn:${AWS::Partition}:s3:::" + name
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_no_right_is_for_everything(resources: dict[str, Any]) -> None:
    for statement in statements(resources):
        for action in as_list(statement["Action"]):
            assert "*" not in action, statement
        for resource in as_list(statement["Resource"]):
            assert resource not in ("*", "arn:aws:s3:::*"), statement


def test_each_function_has_a_role_of_its_own(resources: dict[str, Any]) -> None:
    roles = {resources[function]["Properties"]["Role"]["Fn::GetAtt"][0] for function in FUNCTIONS}
    assert len(roles) == len(FUNCTIONS)


def test_what_faces_the_internet_takes_no_messages_and_writes_no_objects_but_uploads(
    resources: dict[str, Any],
) -> None:
    assert {right for right in rights(resources, "APIHandler") if not right.startswith("dynamodb:")} == {
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:ListBucket",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
        "sqs:GetQueueAttributes",
        "sqs:SendMessage",
    }
    role = {"Ref": resources["APIHandler"]["Properties"]["Role"]["Fn::GetAtt"][0]}
    written = [
        statement["Resource"]
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if role in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
        if {"s3:PutObject", "s3:AbortMultipartUpload"} & set(as_list(statement["Action"]))
    ]
    assert written == [{"Fn::Sub": "${IncomingBucket.Arn}/direct/*"}]


def test_pages_of_named_origins_only_may_send_slides(resources: dict[str, Any]) -> None:
    condition, given, otherwise = resources["IncomingBucket"]["Properties"]["CorsConfiguration"]["Fn::If"]
    (rule,) = given["CorsRules"]
    assert (condition, otherwise) == ("HasPageOrigins", {"Ref": "AWS::NoValue"})
    assert rule["AllowedOrigins"] == {"Fn::Split": [",", {"Ref": "PageOrigins"}]}
    assert (rule["AllowedMethods"], rule["AllowedHeaders"]) == (["PUT"], ["content-type"])


def test_what_api_gateway_answers_by_itself_is_a_problem_like_any_other(resources: dict[str, Any]) -> None:
    found = resources["RestAPI"]["Properties"]["DefinitionBody"]
    assert "/jobs" in found["paths"]
    answers = found["x-amazon-apigateway-gateway-responses"]
    for answer in answers.values():
        body = json.loads(answer["responseTemplates"]["application/json"])
        assert {"type", "title", "status", "detail", "code", "hint"} == set(body)
        assert body["status"] == answer.get("statusCode", 503)
        assert answer["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
    assert answers["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == 404


@pytest.mark.parametrize("function", QUEUE_FUNCTIONS)
def test_a_function_may_take_messages_of_its_own_queue_only(resources: dict[str, Any], function: str) -> None:
    role = {"Ref": resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]}
    taken = [
        statement["Resource"]
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if role in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "sqs:ReceiveMessage" in statement["Action"]
    ]
    assert taken == [{"Fn::GetAtt": [f"{function}Queue", "Arn"]}]


def test_the_package_holds_the_code_and_its_pages(packaged: Path) -> None:
    (archive,) = archives(packaged)
    with zipfile.ZipFile(archive) as code:
        names = set(code.namelist())
    static = (ROOT / "chalicelib/entrypoints/static").rglob("*")
    pages = {str(path.relative_to(ROOT)) for path in static if path.is_file()}
    assert {"app.py", "chalice/app.py", "chalicelib/services.py", *pages} <= names
    assert not any(name.startswith(("infra/", "tests/", "web/")) for name in names)


def test_the_package_holds_the_viewers_library_with_its_licence(packaged: Path) -> None:
    (archive,) = archives(packaged)
    with zipfile.ZipFile(archive) as code:
        names = {name.rpartition("/")[2] for name in code.namelist() if "/static/vendor/" in name}
    assert {"openseadragon.min.js", "openseadragon.LICENSE.txt"} <= names


def test_a_package_without_the_viewers_library_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deployment.zip"
    with zipfile.ZipFile(path, "w") as code:
        code.writestr("app.py", "")
    with pytest.raises(PackageError, match=r"openseadragon\.min\.js is missing.*make setup"):
        refuse_without_viewer([path])


def test_nothing_that_npm_brings_is_kept_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "web", "*/vendor/*"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    kept = set(listed.stdout.split())
    # Outside a repository nothing is listed, and nothing can be kept.
    assert kept <= {"web/.npmrc", "web/package.json", "web/package-lock.json"}


def test_no_address_of_a_registry_is_locked() -> None:
    lock = json.loads((ROOT / "web/package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []


def archive_with(folder: Path, tags: str) -> Path:
    path = folder / "layer-deployment.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("python/lib/python3.11/site-packages/fast-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\n{tags}")
    return path


def test_a_library_that_was_compiled_here_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"compiled on this machine.*fast-1\.0"):
        refuse_foreign_wheels(archive_with(tmp_path, "Tag: cp311-cp311-linux_x86_64\n"))


@pytest.mark.parametrize(
    "tags",
    ["Tag: py3-none-any\n", "Tag: cp311-cp311-manylinux_2_17_x86_64\nTag: cp311-cp311-manylinux2014_x86_64\n"],
)
def test_libraries_that_run_anywhere_pass(tmp_path: Path, tags: str) -> None:
    refuse_foreign_wheels(archive_with(tmp_path, tags))


def test_sizes_are_told_archive_by_archive_and_in_all(packaged: Path) -> None:
    lines = list(sizes(packaged))
    assert lines[0].startswith("deployment.zip: ")
    assert re.fullmatch(r"unpacked \d+\.\d MB of the 262\.1 MB that Lambda takes", lines[-1])


def test_a_package_that_lambda_would_not_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_with(tmp_path, "Tag: py3-none-any\n")
    monkeypatch.setattr("infra.deploy.package.UNPACKED_LIMIT_BYTES", 10)
    with pytest.raises(PackageError, match="at most"):
        list(sizes(tmp_path))


def test_an_archive_too_large_for_a_direct_upload_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_with(tmp_path, "Tag: py3-none-any\n")
    monkeypatch.setattr("infra.deploy.package.DIRECT_UPLOAD_LIMIT_BYTES", 10)
    assert "through S3 only" in list(sizes(tmp_path))[1]


def test_a_project_that_cannot_be_packaged_is_an_error_with_chalices_words(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import a_module_that_does_not_exist\n")
    with pytest.raises(PackageError, match="chalice package"):
        package(tmp_path / "out", project=tmp_path)
