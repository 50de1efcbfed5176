-- Ends a request to a host: gives its place back, and keeps what its answer says about our rate_limit.
--
-- KEYS  hosts
-- ARGV  host, lease id, ms since the answer began (empty: there was none), verdict, ms, reason, who asked;
--       verdict is ok | failed | retry-after (ms: how long) | blocked (ms: how long to pause, reason)
-- Returns until when the host is paused, in ms; 0 where it is not
--
-- A lease that ran out has been given to another: what was learnt counts all the same. Only the request
-- that tries again ends a pause; one that started before the trouble proves nothing.

local hosts = KEYS[1]
local name, lease, verdict, ms = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
local now = now_ms()
local host = read_host(hosts, name, now)

local backoff = host.backoff
local probed = backoff and backoff.probe == lease
host.leases[lease] = nil
if ARGV[3] ~= '' then host.answered_ms = math.max(host.answered_ms, math.ceil(now - tonumber(ARGV[3]))) end

if verdict == 'retry-after' then
  host.not_before_ms = math.max(host.not_before_ms, math.ceil(now + ms))
elseif verdict == 'blocked' then
  local since_ms = backoff and now < backoff.until_ms and backoff.since_ms or math.ceil(now)
  local until_ms = math.max(backoff and backoff.until_ms or 0, math.ceil(now + ms))
  host.backoff = {since_ms = since_ms, until_ms = until_ms, reason = ARGV[6], by = ARGV[7]}
elseif probed and verdict == 'ok' then
  host.backoff = nil
end
if host.backoff and host.backoff.probe == lease then host.backoff.probe = nil end

write_host(hosts, name, host)
return host.backoff and host.backoff.until_ms or 0
