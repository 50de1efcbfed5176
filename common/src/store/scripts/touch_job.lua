-- Heartbeat of a job being worked on; only moves the time of a mark this process still holds.
--
-- KEYS  jobs
-- ARGV  job name, boot id

local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return 0 end
local job = cjson.decode(text)
if job.state ~= 'started' or job.boot ~= ARGV[2] then return 0 end
local now = redis.call('TIME')
job.touched_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(job))
return 1
