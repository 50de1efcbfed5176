-- Ends a request to a host: releases its slot and records the verdict on its response.
--
-- KEYS  hosts
-- ARGV  host, lease id, ms since the response began (empty if there was none), verdict, ms, reason, worker;
--       verdict is ok | failed | retry-after (after ms) | blocked (back off for ms, because of reason)
-- Returns the end of the back-off in ms; 0 if the host is not backed off
--
-- The verdict counts even if the lease has expired. Only a successful probe ends a back-off: requests that started
-- before the host blocked us prove nothing.

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
