-- Lets a failed or cancelled run expire after its retention, with its data.
--
-- KEYS  submission, then its data
-- ARGV  fencing token
-- Returns expires | open | fenced

if fenced(KEYS[1], ARGV[1]) then return 'fenced' end
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'failed' and state ~= 'cancelled' then return 'open' end
local retention = redis.call('HGET', KEYS[1], 'retention_ms')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, retention) end
return 'expires'
