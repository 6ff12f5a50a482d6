//! Lambda's operations, as clients call them.

use crate::messages::{Asked, MessageOrder};
use crate::testing::{Caller, REGION, REQUEST_ID};
use forebay_awswire::{ApiError, Service};
use forebay_functions::{FunctionError, InvokeError, Invoked};
use forebay_queues::Ask;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:lambda:local-1:123456789012:function:f";
const ROLE: &str = "arn:aws:iam::123456789012:role/run";
const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn with_role() -> Caller {
    let mut caller = Caller::new();
    let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}});
    let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let input = json!({"RoleName": "run", "AssumeRolePolicyDocument": trust});
    caller.call_of(Service::Iam, "CreateRole", input).unwrap();
    caller
}

fn input(name: &str) -> Value {
    json!({
        "FunctionName": name, "Runtime": "python3.11", "Role": ROLE, "Handler": "index.handler",
        "Code": {"Kept": {"Sha256": DIGEST, "Size": 7}}, "Environment": {"Variables": {"A": "b"}}, "Tags": {"team": "x"},
    })
}

fn with_function() -> Caller {
    let mut caller = with_role();
    caller
        .call_of(Service::Lambda, "CreateFunction", input("f"))
        .unwrap();
    caller
}

impl Caller {
    fn lambda(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
        self.call_of(Service::Lambda, operation, input)
    }

    fn queue(&mut self, attributes: Value) -> String {
        let input = json!({"QueueName": "q", "Attributes": attributes});
        self.call_of(Service::Sqs, "CreateQueue", input).unwrap();
        format!("arn:aws:sqs:{REGION}:123456789012:q")
    }
}

fn code(result: Result<Value, ApiError>) -> String {
    result.unwrap_err().code
}

#[test]
fn a_function_is_made_changed_listed_and_deleted() {
    let mut caller = with_function();
    let of = json!({"FunctionName": "f"});
    let made = caller.lambda("GetFunction", of.clone()).unwrap();
    assert_eq!(made["Configuration"]["FunctionArn"], ARN);
    assert_eq!(
        made["Configuration"]["CodeSha256"],
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    );
    assert_eq!(made["Tags"], json!({"team": "x"}));
    assert_eq!(caller.state.functions()[0].role, "run");
    assert_eq!(caller.state.function_code().len(), 1);
    let revision = made["Configuration"]["RevisionId"].clone();
    let change = json!({"FunctionName": ARN, "Timeout": 9, "MemorySize": 256, "RevisionId": revision});
    let changed = caller
        .lambda("UpdateFunctionConfiguration", change.clone())
        .unwrap();
    assert_eq!(
        (&changed["Timeout"], &changed["Handler"]),
        (&json!(9), &json!("index.handler"))
    );
    assert_eq!(
        code(caller.lambda("UpdateFunctionConfiguration", change)),
        "PreconditionFailedException"
    );
    let other = json!({"FunctionName": "f", "Kept": {"Sha256": "00".repeat(32), "Size": 8}});
    let changed = caller.lambda("UpdateFunctionCode", other).unwrap();
    assert_eq!(changed["CodeSize"], 8);
    for (operation, list) in [
        ("ListFunctions", "Functions"),
        ("ListVersionsByFunction", "Versions"),
    ] {
        let listed = caller.lambda(operation, of.clone()).unwrap();
        assert_eq!(listed[list].as_array().unwrap().len(), 1, "{operation}");
    }
    assert_eq!(
        caller.lambda("GetFunctionConfiguration", of.clone()).unwrap()["Timeout"],
        9
    );
    assert_eq!(
        caller.lambda("GetFunctionCodeSigningConfig", of.clone()).unwrap(),
        json!({"FunctionName": "f"})
    );
    for (name, qualifier, expected) in [
        ("f", json!("$LATEST"), "InvalidParameterValueException"),
        ("f:$LATEST", Value::Null, "InvalidParameterValueException"),
        ("f", json!("1"), "ResourceNotFoundException"),
    ] {
        let mut one = json!({"FunctionName": name});
        if !qualifier.is_null() {
            one["Qualifier"] = qualifier;
        }
        assert_eq!(code(caller.lambda("DeleteFunction", one)), expected, "{name}");
    }
    assert_eq!(
        caller.lambda("DeleteFunction", of.clone()).unwrap(),
        json!({"StatusCode": 204})
    );
    assert_eq!(
        code(caller.lambda("GetFunction", of)),
        "ResourceNotFoundException"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let mut caller = with_function();
    assert_eq!(
        code(caller.lambda("CreateFunction", input("f"))),
        "ResourceConflictException"
    );
    let mut with = |name: &str, value: Value| {
        let mut input = input("g");
        input[name] = value;
        caller.lambda("CreateFunction", input).unwrap_err()
    };
    for (name, value) in [
        ("Runtime", json!("java21")),
        ("Role", json!("arn:aws:iam::123456789012:role/nobody")),
        ("Code", json!({"S3Bucket": "b", "S3Key": "k"})),
        ("Code", json!({})),
        ("Layers", json!(["arn:x"])),
        ("PackageType", json!("Image")),
        ("Timeout", json!(901)),
        ("Environment", json!({"Variables": {"AWS_REGION": "x"}})),
        ("Environment", json!({"Variables": {"A": "x".repeat(5000)}})),
        (
            "DeadLetterConfig",
            json!({"TargetArn": "arn:aws:sqs:local-1:123456789012:none"}),
        ),
        ("Handler", json!("")),
        ("FunctionName", json!("f:1")),
    ] {
        let error = with(name, value.clone());
        assert_eq!(
            error.code, "InvalidParameterValueException",
            "{name} {value}: {error}"
        );
    }
    let error = caller.lambda("GetFunction", json!({"FunctionName": "f", "Qualifier": "7"}));
    assert_eq!(code(error), "ResourceNotFoundException");
}

#[test]
fn a_role_must_trust_lambda() {
    let mut caller = with_function();
    let statement =
        |principal: Value| json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal});
    let services = |names: Value| statement(json!({"Service": names}));
    for (place, (statement, is_trusted)) in [
        (services(json!("ec2.amazonaws.com")), false),
        (
            services(json!(["ec2.amazonaws.com", "lambda.amazonaws.com"])),
            true,
        ),
        (
            json!([services(json!("ec2.amazonaws.com")), services(json!("lambda.amazonaws.com"))]),
            true,
        ),
        (statement(json!("*")), true),
        (
            statement(json!({"AWS": "arn:aws:iam::123456789012:root"})),
            false,
        ),
        (
            json!({"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}),
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("role{place}");
        let trust = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let role = json!({"RoleName": name, "AssumeRolePolicyDocument": trust});
        caller.call_of(Service::Iam, "CreateRole", role).unwrap();
        let change =
            json!({"FunctionName": "f", "Role": format!("arn:aws:iam::123456789012:role/{name}")});
        let changed = caller.lambda("UpdateFunctionConfiguration", change);
        if is_trusted {
            assert_eq!(changed.err(), None, "{trust}");
        } else {
            let error = changed.unwrap_err();
            assert_eq!(error.code, "InvalidParameterValueException", "{trust}");
            assert_eq!(
                error.message,
                "The role defined for the function cannot be assumed by Lambda."
            );
        }
    }
}

#[test]
fn a_function_of_another_account_or_region_is_not_this_one() {
    let mut caller = with_function();
    for given in [
        "f:$LATEST",
        "function:f",
        "123456789012:function:f",
        "arn:aws:lambda:local-1:123456789012:function:f:$LATEST",
    ] {
        let found = caller.lambda("GetFunction", json!({"FunctionName": given}));
        assert_eq!(found.unwrap()["Configuration"]["FunctionArn"], ARN, "{given}");
    }
    for given in [
        "210987654321:function:f",
        "arn:aws:lambda:local-1:210987654321:function:f",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
    ] {
        let error = caller.lambda("GetFunction", json!({"FunctionName": given}));
        assert_eq!(code(error), "ResourceNotFoundException", "{given}");
        let error = caller.lambda(
            "CreateFunction",
            input(&given.replace("function:f", "function:g")),
        );
        assert_eq!(code(error), "InvalidParameterValueException", "{given}");
    }
    caller.lambda("CreateFunction", input("my-function")).unwrap();
    let of = json!({"FunctionName": "my-function:$LATEST"});
    let found = caller.lambda("GetFunction", of).unwrap();
    assert_eq!(found["Configuration"]["FunctionName"], "my-function");
}

#[test]
fn concurrency_is_reserved_and_given_back() {
    let mut caller = with_function();
    let of = json!({"FunctionName": "f"});
    let put = |count: u32| json!({"FunctionName": "f", "ReservedConcurrentExecutions": count});
    caller.lambda("PutFunctionConcurrency", put(5)).unwrap();
    assert_eq!(
        caller.lambda("GetFunctionConcurrency", of.clone()).unwrap()["ReservedConcurrentExecutions"],
        5
    );
    assert_eq!(
        caller.lambda("GetFunction", of.clone()).unwrap()["Concurrency"]["ReservedConcurrentExecutions"],
        5
    );
    assert_eq!(caller.state.functions()[0].reserved_concurrency, Some(5));
    let limits = caller.lambda("GetAccountSettings", json!({})).unwrap();
    assert_eq!(limits["AccountLimit"]["UnreservedConcurrentExecutions"], 995);
    assert_eq!(
        code(caller.lambda("PutFunctionConcurrency", put(901))),
        "InvalidParameterValueException"
    );
    caller.lambda("DeleteFunctionConcurrency", of.clone()).unwrap();
    assert_eq!(caller.lambda("GetFunctionConcurrency", of).unwrap(), json!({}));
}

#[test]
fn a_policy_permits_who_is_named() {
    let mut caller = with_function();
    let of = json!({"FunctionName": "f"});
    assert_eq!(
        code(caller.lambda("GetPolicy", of.clone())),
        "ResourceNotFoundException"
    );
    let group = "arn:aws:elasticloadbalancing:local-1:123456789012:targetgroup/g/1";
    let add = json!({
        "FunctionName": "f", "StatementId": "alb", "Action": "lambda:InvokeFunction",
        "Principal": "elasticloadbalancing.amazonaws.com", "SourceArn": group,
    });
    caller.lambda("AddPermission", add.clone()).unwrap();
    assert_eq!(
        code(caller.lambda("AddPermission", add)),
        "ResourceConflictException"
    );
    let latest = json!({
        "FunctionName": "f", "StatementId": "latest", "Action": "lambda:InvokeFunction",
        "Principal": "elasticloadbalancing.amazonaws.com", "Qualifier": "$LATEST",
    });
    assert_eq!(
        code(caller.lambda("AddPermission", latest)),
        "InvalidParameterValueException"
    );
    let policy = caller.lambda("GetPolicy", of.clone()).unwrap();
    let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(
        policy["Statement"][0]["Condition"]["ArnLike"]["AWS:SourceArn"],
        group
    );
    let function = caller.state.region(REGION).functions["f"].clone();
    let elb = "elasticloadbalancing.amazonaws.com";
    assert!(super::permits(&function, elb, group));
    assert!(!super::permits(&function, elb, &group.replace("/1", "/2")));
    assert!(!super::permits(&function, "events.amazonaws.com", group));
    caller
        .lambda(
            "RemovePermission",
            json!({"FunctionName": "f", "StatementId": "alb"}),
        )
        .unwrap();
    let again = json!({"FunctionName": "f", "StatementId": "alb"});
    assert_eq!(
        code(caller.lambda("RemovePermission", again)),
        "ResourceNotFoundException"
    );
}

#[test]
fn a_permission_holds_for_what_it_names_and_no_more() {
    let mut caller = with_function();
    let group = "arn:aws:elasticloadbalancing:local-1:123456789012:targetgroup/g/1";
    for (name, value, key, permits) in [
        (
            "SourceAccount",
            json!("123456789012"),
            "/StringEquals/AWS:SourceAccount",
            true,
        ),
        (
            "SourceAccount",
            json!("000000000000"),
            "/StringEquals/AWS:SourceAccount",
            false,
        ),
        (
            "PrincipalOrgID",
            json!("o-abcdefghij"),
            "/StringEquals/aws:PrincipalOrgID",
            false,
        ),
        (
            "EventSourceToken",
            json!("amzn1.ask.skill.1"),
            "/StringEquals/lambda:EventSourceToken",
            false,
        ),
        (
            "FunctionUrlAuthType",
            json!("NONE"),
            "/StringEquals/lambda:FunctionUrlAuthType",
            false,
        ),
        (
            "InvokedViaFunctionUrl",
            json!(true),
            "/Bool/lambda:InvokedViaFunctionUrl",
            false,
        ),
    ] {
        let mut add = json!({"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"});
        add[name] = value.clone();
        caller.lambda("AddPermission", add).unwrap();
        let policy = caller.lambda("GetPolicy", json!({"FunctionName": "f"})).unwrap();
        let policy: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
        let told = policy["Statement"][0]["Condition"]
            .pointer(key)
            .and_then(Value::as_str);
        assert_eq!(told, Some(value.as_str().unwrap_or("true")), "{name}");
        let function = caller.state.region(REGION).functions["f"].clone();
        assert_eq!(
            super::permits(&function, "elasticloadbalancing.amazonaws.com", group),
            permits,
            "{name}"
        );
        caller
            .lambda(
                "RemovePermission",
                json!({"FunctionName": "f", "StatementId": "s"}),
            )
            .unwrap();
    }
}

#[test]
fn a_principal_is_a_service_or_an_arn() {
    let mut caller = with_function();
    let user = "arn:aws:iam::123456789012:user/first.last@example.com";
    for (principal, expected) in [
        ("events.amazonaws.com", json!({"Service": "events.amazonaws.com"})),
        ("123456789012", json!({"AWS": "arn:aws:iam::123456789012:root"})),
        (user, json!({"AWS": user})),
        ("*", json!("*")),
    ] {
        let add = json!({"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": principal});
        let told = caller.lambda("AddPermission", add).unwrap();
        let statement: Value = serde_json::from_str(told["Statement"].as_str().unwrap()).unwrap();
        assert_eq!(statement["Principal"], expected, "{principal}");
        let of = json!({"FunctionName": "f", "StatementId": "s"});
        caller.lambda("RemovePermission", of).unwrap();
    }
}

#[test]
fn a_dead_letter_queue_is_a_standard_queue() {
    let mut caller = with_function();
    let queue = json!({"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true"}});
    caller.call_of(Service::Sqs, "CreateQueue", queue).unwrap();
    let standard = caller.queue(json!({}));
    let mut set = |arn: String| {
        let change = json!({"FunctionName": "f", "DeadLetterConfig": {"TargetArn": arn}});
        caller.lambda("UpdateFunctionConfiguration", change)
    };
    let error = set(format!("{standard}.fifo"));
    assert_eq!(code(error), "InvalidParameterValueException");
    set(standard).unwrap();
}

#[test]
fn tags_come_and_go() {
    let mut caller = with_function();
    caller
        .lambda("TagResource", json!({"Resource": ARN, "Tags": {"a": "1"}}))
        .unwrap();
    caller
        .lambda("UntagResource", json!({"Resource": ARN, "TagKeys": ["team"]}))
        .unwrap();
    assert_eq!(
        caller.lambda("ListTags", json!({"Resource": ARN})).unwrap(),
        json!({"Tags": {"a": "1"}})
    );
    let none = json!({"Resource": format!("{ARN}g")});
    assert_eq!(code(caller.lambda("ListTags", none)), "ResourceNotFoundException");
    let reserved = json!({"Resource": ARN, "Tags": {"aws:x": "1"}});
    assert_eq!(
        code(caller.lambda("TagResource", reserved)),
        "InvalidParameterValueException"
    );
}

#[test]
fn an_invocation_is_answered_as_it_went() {
    let mut caller = with_function();
    let call = json!({"FunctionName": "f", "Payload": "eyJhIjoxfQ==", "LogType": "Tail"});
    caller.function = |invocation| {
        assert_eq!(
            (invocation.function.as_str(), invocation.payload.as_slice()),
            (ARN, b"{\"a\":1}".as_slice())
        );
        assert_eq!(invocation.request_id.as_deref(), Some(REQUEST_ID));
        Ok(Invoked {
            payload: b"2".to_vec(),
            error: None,
            request_id: "id".to_owned(),
            log: Some(b"line".to_vec()),
        })
    };
    let answer = caller.lambda("Invoke", call.clone()).unwrap();
    assert_eq!(
        (&answer["StatusCode"], &answer["Payload"], &answer["LogResult"]),
        (&json!(200), &json!("Mg=="), &json!("bGluZQ=="))
    );
    caller.function = |_| {
        Ok(Invoked {
            payload: b"{}".to_vec(),
            error: Some(FunctionError::TimedOut),
            request_id: "id".to_owned(),
            log: None,
        })
    };
    assert_eq!(
        caller.lambda("Invoke", call.clone()).unwrap()["FunctionError"],
        "Unhandled"
    );
    for (why, expected) in [
        (InvokeError::NotFound, "ResourceNotFoundException"),
        (InvokeError::Concurrency, "TooManyRequestsException"),
        (InvokeError::TooLarge(1), "RequestTooLargeException"),
        (InvokeError::Unavailable("x".to_owned()), "ServiceException"),
    ] {
        let operation = crate::find(Service::Lambda, "Invoke").unwrap();
        let state = caller.state.clone();
        let asked = caller.ask_of(operation, call.clone(), &state);
        let Ok(Asked::Invoke(_, answer)) = asked else {
            panic!("no invocation")
        };
        assert_eq!(answer(Err(why)).unwrap_err().code, expected);
    }
    let dry = json!({"FunctionName": "f", "InvocationType": "DryRun"});
    assert_eq!(caller.lambda("Invoke", dry).unwrap(), json!({"StatusCode": 204}));
    let text = json!({"FunctionName": "f", "Payload": "bm8="});
    assert_eq!(
        code(caller.lambda("Invoke", text)),
        "InvalidRequestContentException"
    );
}

#[test]
fn an_event_waits_in_the_functions_own_queue() {
    let mut caller = with_function();
    let call = json!({"FunctionName": "f", "InvocationType": "Event", "Payload": "eyJhIjoxfQ=="});
    assert_eq!(caller.lambda("Invoke", call).unwrap(), json!({"StatusCode": 202}));
    let call = json!({"FunctionName": "f", "InvokeArgs": "eyJhIjoyfQ=="});
    assert_eq!(
        caller.lambda("InvokeAsync", call).unwrap(),
        json!({"Status": 202})
    );
    let queue = caller.state.events_queues()[0].queue;
    assert!(
        caller
            .state
            .queues()
            .iter()
            .any(|kept| kept.id == queue && kept.is_hidden)
    );
    let ask = Ask {
        most: 10,
        ..Ask::default()
    };
    let events = caller.received(queue, ask);
    let payloads: Vec<_> = events
        .iter()
        .map(|event| super::Event::read(&event.body).unwrap().payload)
        .collect();
    assert_eq!(payloads, [b"{\"a\":1}".to_vec(), b"{\"a\":2}".to_vec()]);
    let event = super::Event::read(&events[0].body).unwrap();
    assert_eq!(event.id, REQUEST_ID);
    let letters = caller.queue(json!({}));
    let asked = crate::dead_letter(
        &caller.state,
        REGION,
        &letters,
        &event,
        "why",
        &crate::ports::Ports::NOTHING,
        caller.now,
    );
    let Ok(Asked::Order(MessageOrder::Send { letters, .. }, _)) = asked else {
        panic!("no dead letter")
    };
    let letter = String::from_utf8_lossy(&letters[0].body).into_owned();
    assert!(
        letter.contains("RequestID") && letter.contains(REQUEST_ID),
        "{letter}"
    );
    caller
        .lambda(
            "PutFunctionConcurrency",
            json!({"FunctionName": "f", "ReservedConcurrentExecutions": 0}),
        )
        .unwrap();
    // As on AWS, its events are taken, and fail without a try.
    let call = json!({"FunctionName": "f", "InvocationType": "Event"});
    assert_eq!(caller.lambda("Invoke", call).unwrap(), json!({"StatusCode": 202}));
    assert!(caller.state.events_queues()[0].is_off);
    caller
        .lambda("DeleteFunctionConcurrency", json!({"FunctionName": "f"}))
        .unwrap();
    assert!(!caller.state.events_queues()[0].is_off);
}

#[test]
fn a_mapping_gives_a_function_a_queues_messages() {
    let mut caller = with_function();
    let queue = caller.queue(json!({}));
    let make = json!({"FunctionName": "f", "EventSourceArn": queue, "FunctionResponseTypes": ["ReportBatchItemFailures"]});
    let made = caller.lambda("CreateEventSourceMapping", make.clone()).unwrap();
    assert_eq!(
        (&made["State"], &made["BatchSize"]),
        (&json!("Creating"), &json!(10))
    );
    assert_eq!(
        code(caller.lambda("CreateEventSourceMapping", make)),
        "ResourceConflictException"
    );
    let of = json!({"UUID": made["UUID"]});
    assert_eq!(
        caller.lambda("GetEventSourceMapping", of.clone()).unwrap()["State"],
        "Enabled"
    );
    let mut change = of.clone();
    change["BatchSize"] = json!(20);
    assert_eq!(
        code(caller.lambda("UpdateEventSourceMapping", change.clone())),
        "InvalidParameterValueException"
    );
    change["MaximumBatchingWindowInSeconds"] = json!(1);
    change["ScalingConfig"] = json!({"MaximumConcurrency": 2});
    caller.lambda("UpdateEventSourceMapping", change).unwrap();
    let kept = caller.state.mappings();
    assert_eq!(
        (kept[0].batch, kept[0].concurrency, &*kept[0].function),
        (20, Some(2), ARN)
    );
    let second = core::time::Duration::from_secs(1);
    assert_eq!((kept[0].timeout, kept[0].hidden), (3 * second, 30 * second));
    let mut change = of.clone();
    change["MaximumBatchingWindowInSeconds"] = json!(60);
    caller.lambda("UpdateEventSourceMapping", change).unwrap();
    assert_eq!(caller.state.mappings()[0].hidden, 63 * second);
    let listed = caller
        .lambda("ListEventSourceMappings", json!({"FunctionName": "f"}))
        .unwrap();
    assert_eq!(listed["EventSourceMappings"].as_array().unwrap().len(), 1);
    let off = json!({"UUID": made["UUID"], "Enabled": false});
    caller.lambda("UpdateEventSourceMapping", off).unwrap();
    assert_eq!(caller.state.mappings(), []);
    caller.lambda("DeleteEventSourceMapping", of.clone()).unwrap();
    assert_eq!(
        code(caller.lambda("GetEventSourceMapping", of)),
        "ResourceNotFoundException"
    );
    for (name, value) in [
        ("KMSKeyArn", json!("arn:x")),
        ("MetricsConfig", json!({"Metrics": ["EventCount"]})),
        ("ParallelizationFactor", json!(2)),
        ("BisectBatchOnFunctionError", json!(true)),
        ("MaximumRetryAttempts", json!(0)),
        ("MaximumRecordAgeInSeconds", json!(60)),
        ("StartingPositionTimestamp", json!(0)),
        ("LoggingConfig", json!({"SystemLogLevel": "DEBUG"})),
    ] {
        let mut make = json!({"FunctionName": "f", "EventSourceArn": queue});
        make[name] = value;
        assert_eq!(
            code(caller.lambda("CreateEventSourceMapping", make)),
            "InvalidParameterValueException",
            "{name}"
        );
    }
    let empty = json!({"FunctionName": "f", "EventSourceArn": queue, "KMSKeyArn": "", "MetricsConfig": {"Metrics": []},
        "BisectBatchOnFunctionError": false, "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1});
    caller.lambda("CreateEventSourceMapping", empty).unwrap();
    caller.lambda("CreateFunction", input("g")).unwrap();
    let other = json!({"FunctionName": "g", "EventSourceArn": queue});
    let other = caller.lambda("CreateEventSourceMapping", other).unwrap()["UUID"].clone();
    let same = json!({"UUID": other, "FunctionName": "g", "BatchSize": 5});
    caller.lambda("UpdateEventSourceMapping", same).unwrap();
    let second = json!({"UUID": other, "FunctionName": "f"});
    assert_eq!(
        code(caller.lambda("UpdateEventSourceMapping", second)),
        "ResourceConflictException"
    );
    let none = json!({"FunctionName": "f", "EventSourceArn": format!("{queue}x")});
    assert_eq!(
        code(caller.lambda("CreateEventSourceMapping", none)),
        "InvalidParameterValueException"
    );
}

#[test]
fn messages_that_are_too_large_for_one_event_get_several() {
    let mut caller = with_function();
    let queue = caller.queue(json!({}));
    let make = json!({"FunctionName": "f", "EventSourceArn": queue});
    caller.lambda("CreateEventSourceMapping", make).unwrap();
    // Quotation marks need two bytes each in an event.
    for place in 0..5 {
        let body = format!("{place}{}", "\"".repeat(1_000_000));
        let message = json!({"QueueUrl": "/123456789012/q", "MessageBody": body});
        caller.call_of(Service::Sqs, "SendMessage", message).unwrap();
    }
    let mapping = caller.state.mappings().remove(0);
    let ask = Ask {
        most: 10,
        ..Ask::default()
    };
    let messages = caller.received(mapping.queue, ask);
    assert_eq!(messages.len(), 5);
    let batches = super::batch_events(&mapping, messages.clone());
    assert!(batches.len() > 1 && batches.iter().all(|batch| batch.event.len() <= 6 << 20));
    let event: Value = serde_json::from_slice(&batches[0].event).unwrap();
    assert_eq!(
        event["Records"].as_array().unwrap().len(),
        batches[0].messages.len()
    );
    let all: Vec<_> = batches.into_iter().flat_map(|batch| batch.messages).collect();
    assert_eq!(all, messages);
    let small = super::batch_events(&mapping, messages[..1].to_vec());
    assert_eq!(small.len(), 1);
}

#[test]
fn batches_are_events_and_their_failures_are_read() {
    let mut caller = with_function();
    let queue = caller.queue(json!({}));
    let make = json!({"FunctionName": "f", "EventSourceArn": queue, "FunctionResponseTypes": ["ReportBatchItemFailures"]});
    caller.lambda("CreateEventSourceMapping", make).unwrap();
    for body in ["one", "two"] {
        let message = json!({"QueueUrl": "/123456789012/q", "MessageBody": body,
            "MessageAttributes": {"k": {"DataType": "String", "StringValue": "v"}}});
        caller.call_of(Service::Sqs, "SendMessage", message).unwrap();
    }
    let mapping = caller.state.mappings().remove(0);
    let messages = caller.received(
        mapping.queue,
        Ask {
            most: 10,
            ..Ask::default()
        },
    );
    let event: Value = serde_json::from_slice(&super::batch_event(&mapping, &messages)).unwrap();
    let record = &event["Records"][0];
    assert_eq!(
        (&record["body"], &record["eventSource"], &record["awsRegion"]),
        (&json!("one"), &json!("aws:sqs"), &json!(REGION))
    );
    assert_eq!(record["messageAttributes"]["k"]["stringValue"], "v");
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    let id = record["messageId"].as_str().unwrap();
    let failed = |answer: &str| super::failed_of(&mapping, &messages, answer.as_bytes()).len();
    assert_eq!(
        failed(&json!({"batchItemFailures": [{"itemIdentifier": id}]}).to_string()),
        1
    );
    for (answer, count) in [
        ("null", 0),
        ("{}", 0),
        (r#"{"batchItemFailures": []}"#, 0),
        (r#"{"batchItemFailures": null}"#, 0),
        (r#"{"batchItemFailures": [{"itemIdentifier": "x"}]}"#, 2),
        (r#"{"batchItemFailures": 1}"#, 2),
        ("7", 2),
        ("no", 2),
    ] {
        assert_eq!(failed(answer), count, "{answer}");
    }
}
