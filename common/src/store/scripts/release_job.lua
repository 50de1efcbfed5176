-- Makes a started job available again: the worker gives it back, for example at shutdown.
--
-- KEYS  jobs
-- ARGV  job name, instance id
-- Returns 1 if this instance was running it, else 0

local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return 0 end
local job = cjson.decode(text)
local was_running = job.state == 'started' and job.instance == ARGV[2]
if was_running then job.state = 'available' end
if retract_crash(job, ARGV[2]) or was_running then write_job(KEYS[1], ARGV[1], job) end
return was_running and 1 or 0
