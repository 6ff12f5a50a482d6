#!/usr/bin/env bash
# The AWS CLI alone, as a user types it: a load balancer that serves real traffic.
set -eu -o pipefail
dir=$(mktemp -d "${TMPDIR:-/tmp}/forebay-cli-XXXXXX")
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$dir"
}
trap finish EXIT
fail() { echo "cli: $*" >&2; exit 1; }

"$FOREBAY_BIN" up --data-dir "$dir/data" --api 127.0.0.1:0 --admin 127.0.0.1:0 --address-pool 127.84.0.0/14 --workers 1 >"$dir/up" &
pids+=($!)
for name in one two three; do
  "$FOREBAY_BIN" sample-target --name "$name" --listen 127.0.0.1:0 >"$dir/$name" &
  pids+=($!)
done
until grep -q '^forebay ready' "$dir/up" && grep -q ready "$dir/one" && grep -q ready "$dir/two" && grep -q ready "$dir/three"; do
  kill -0 "${pids[0]}" || fail "forebay ended"
done
export AWS_ENDPOINT_URL=$(sed -E 's/.* api=(\S+) .*/\1/' "$dir/up")
export AWS_SHARED_CREDENTIALS_FILE="$dir/data/credentials" AWS_REGION=local-1 AWS_DEFAULT_REGION=local-1 AWS_PAGER="" AWS_CONFIG_FILE=/dev/null
[ "$(stat -c %a "$AWS_SHARED_CREDENTIALS_FILE")" = 600 ] || fail "the credentials file is not private"

account=$(aws sts get-caller-identity --query Account --output text)
[ "$account" = 000000000000 ] || fail "the account is $account"
vpc=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
read -r -a subnets <<<"$(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" --query 'Subnets[].SubnetId' --output text)"
[ "${#subnets[@]}" = 3 ] || fail "the default VPC has ${#subnets[@]} subnets"

balancer=$(aws elbv2 create-load-balancer --name first --subnets "${subnets[@]}" --query 'LoadBalancers[0].LoadBalancerArn' --output text)
group=$(aws elbv2 create-target-group --name first --protocol HTTP --port 80 --vpc-id "$vpc" --target-type ip \
  --health-check-interval-seconds 5 --health-check-timeout-seconds 2 --query 'TargetGroups[0].TargetGroupArn' --output text)
targets=()
for name in one two three; do
  address=$(sed -E 's#.* http://([0-9.:]+) .*#\1#' "$dir/$name")
  targets+=("Id=${address%:*},Port=${address#*:}")
done
aws elbv2 register-targets --target-group-arn "$group" --targets "${targets[@]}"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
listener=$(aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port "$port" \
  --default-actions "Type=forward,TargetGroupArn=$group" --query 'Listeners[0].ListenerArn' --output text)
aws elbv2 create-rule --listener-arn "$listener" --priority 10 --conditions Field=path-pattern,Values='/hello*' \
  --actions 'Type=fixed-response,FixedResponseConfig={StatusCode=200,ContentType=text/plain,MessageBody=hello}' >"$dir/rule"

aws elbv2 wait load-balancer-available --load-balancer-arns "$balancer"
aws elbv2 wait target-in-service --target-group-arn "$group"

dns=$(aws elbv2 describe-load-balancers --names first --query 'LoadBalancers[0].DNSName' --output text)
node=$(aws elbv2 describe-load-balancers --names first --query 'LoadBalancers[0].AvailabilityZones[0].LoadBalancerAddresses[0].IpAddress' --output text)
[ "$(curl -sS "http://$dns:$port/hello/world")" = hello ] || fail "the rule does not answer at $dns"
for name in one two three; do
  seen=$(for _ in 1 2 3; do curl -sS "http://$node:$port/"; done | sort -u | tr '\n' ' ')
  case " $seen " in *" $name "*) ;; *) fail "three requests in a row reached only: $seen" ;; esac
done

# 3,000 requests, on one worker: each target gets 1,000, give or take one.
before=$(for name in one two three; do curl -sS "http://$(sed -E 's#.* http://([0-9.:]+) .*#\1#' "$dir/$name")/counts"; done)
curl -sS --parallel --parallel-max 8 "http://$node:$port/?n=[1-3000]" -o /dev/null
after=$(for name in one two three; do curl -sS "http://$(sed -E 's#.* http://([0-9.:]+) .*#\1#' "$dir/$name")/counts"; done)
python3 - "$before" "$after" <<'PY'
import json, sys
def counts(text):
    decoder, at, found = json.JSONDecoder(), 0, []
    while at < len(text):
        value, end = decoder.raw_decode(text, at)
        found.append(value["requests"].get("GET", 0))
        at = end
        while at < len(text) and text[at].isspace():
            at += 1
    return found
spread = [b - a for a, b in zip(counts(sys.argv[1]), counts(sys.argv[2]))]
print("requests per target:", spread)
assert sum(spread) == 3000 and max(spread) - min(spread) <= 1, spread
PY

# Clear errors for wrong calls.
if aws elbv2 create-load-balancer --name first --subnets "${subnets[0]}" "${subnets[1]}" 2>"$dir/error"; then fail "a duplicate name was taken"; fi
grep -q DuplicateLoadBalancerName "$dir/error" || fail "$(cat "$dir/error")"
if AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA AWS_SECRET_ACCESS_KEY=x aws sts get-caller-identity 2>"$dir/error"; then fail "an unknown key was taken"; fi
grep -q InvalidClientTokenId "$dir/error" || fail "$(cat "$dir/error")"

# A new key counts at once, and a deleted one no longer.
"$FOREBAY_BIN" credentials create ci --data-dir "$dir/data" >"$dir/key"
aws sts get-caller-identity --profile ci >/dev/null
cp "$AWS_SHARED_CREDENTIALS_FILE" "$dir/old"
"$FOREBAY_BIN" credentials delete ci --data-dir "$dir/data"
if AWS_SHARED_CREDENTIALS_FILE="$dir/old" aws sts get-caller-identity --profile ci 2>"$dir/error"; then fail "a deleted key was taken"; fi

# CloudWatch: datapoints put and read, what the balancer counted, and an alarm that looks at them.
minutes() { date -u -d "$1 min" +%FT%TZ; }
aws cloudwatch put-metric-data --namespace Cli --metric-name Jobs --value 3 --unit Count --dimensions Queue=slow
aws cloudwatch put-metric-data --namespace Cli \
  --metric-data '[{"MetricName": "Jobs", "Dimensions": [{"Name": "Queue", "Value": "slow"}], "Values": [4, 5], "Counts": [2, 1], "Unit": "Count"}]'
listed() { aws cloudwatch list-metrics --namespace Cli --query 'Metrics[].[MetricName,Dimensions[0].Name,Dimensions[0].Value]' --output text; }
[ "$(listed)" = $'Jobs\tQueue\tslow' ] || fail "list-metrics tells: $(listed)"
# Of an hour, which may end between the calls.
statistics=$(aws cloudwatch get-metric-statistics --namespace Cli --metric-name Jobs --dimensions Name=Queue,Value=slow --period 3600 \
  --start-time "$(minutes -70)" --end-time "$(minutes +70)" --statistics Sum SampleCount Minimum Maximum \
  --query '[sum(Datapoints[].Sum), sum(Datapoints[].SampleCount), min(Datapoints[].Minimum), max(Datapoints[].Maximum), Datapoints[0].Unit]' --output text)
[ "$statistics" = $'16.0\t4.0\t3.0\t5.0\tCount' ] || fail "get-metric-statistics tells: $statistics"
cat >"$dir/queries" <<JSON
[{"Id": "asked", "ReturnData": false, "MetricStat": {"Period": 60, "Stat": "Sum", "Metric": {"Namespace": "AWS/ApplicationELB",
  "MetricName": "RequestCount", "Dimensions": [{"Name": "LoadBalancer", "Value": "${balancer#*:loadbalancer/}"}]}}},
 {"Id": "twice", "Expression": "2 * asked", "Label": "Twice"}]
JSON
# The 3,000, and the nine before them: as on AWS, what a rule answered without a target is not counted.
counted() {
  aws cloudwatch get-metric-data --metric-data-queries "file://$dir/queries" --start-time "$(minutes -30)" --end-time "$(minutes +2)" \
    --query 'MetricDataResults[].[Id, Label, sum(Values)]' --output text
}
for _ in {1..15}; do
  told=$(counted)
  if [ "$told" = $'twice\tTwice\t6018.0' ]; then break; fi
done
[ "$told" = $'twice\tTwice\t6018.0' ] || fail "get-metric-data tells: $told"

aws cloudwatch put-metric-alarm --alarm-name jobs --alarm-description "Too many jobs" --namespace Cli --metric-name Jobs \
  --dimensions Name=Queue,Value=slow --statistic Maximum --period 60 --evaluation-periods 5 --datapoints-to-alarm 1 --threshold 4.5 \
  --comparison-operator GreaterThanThreshold --treat-missing-data notBreaching --tags Key=team,Value=cli
alarm=$(aws cloudwatch describe-alarms --alarm-names jobs --output text \
  --query 'MetricAlarms[].[AlarmName,AlarmDescription,MetricName,Dimensions[0].Value,Statistic,Period,EvaluationPeriods,DatapointsToAlarm,Threshold]')
[ "$alarm" = $'jobs\tToo many jobs\tJobs\tslow\tMaximum\t60\t5\t1\t4.5' ] || fail "describe-alarms tells: $alarm"
arn=$(aws cloudwatch describe-alarms --alarm-names jobs --query 'MetricAlarms[0].AlarmArn' --output text)
[ "$arn" = "arn:aws:cloudwatch:local-1:$account:alarm:jobs" ] || fail "the alarm is $arn"
[ "$(aws cloudwatch list-tags-for-resource --resource-arn "$arn" --query 'Tags[].[Key,Value]' --output text)" = $'team\tcli' ] || fail "the alarm's tags"
aws cloudwatch wait alarm-exists --alarm-names jobs
state() { aws cloudwatch describe-alarms --alarm-names jobs --query 'MetricAlarms[0].StateValue' --output text; }
aws cloudwatch set-alarm-state --alarm-name jobs --state-value ALARM --state-reason "told to"
[ "$(state)" = ALARM ] || fail "the alarm is in $(state)"
if aws cloudwatch put-metric-alarm --alarm-name odd --namespace Cli --metric-name Jobs --statistic Sum --period 61 --evaluation-periods 1 \
  --threshold 1 --comparison-operator GreaterThanThreshold 2>"$dir/error"; then fail "a period of 61 s was taken"; fi
grep -q ValidationError "$dir/error" || fail "$(cat "$dir/error")"
aws cloudwatch delete-alarms --alarm-names jobs
[ "$(aws cloudwatch describe-alarms --query 'length(MetricAlarms)')" = 0 ] || fail "a deleted alarm is described"

aws elbv2 delete-load-balancer --load-balancer-arn "$balancer"
aws elbv2 wait load-balancers-deleted --load-balancer-arns "$balancer"
aws elbv2 delete-target-group --target-group-arn "$group"
if curl -sS -o /dev/null "http://$node:$port/" 2>/dev/null; then fail "a deleted load balancer answers"; fi

kill -TERM "${pids[0]}"
wait "${pids[0]}" || fail "forebay did not end with 0"
unset 'pids[0]'
pids=("${pids[@]}")
echo "cli: good"
