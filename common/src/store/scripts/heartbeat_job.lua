-- Heartbeat of a job: updates the time in its record if this instance still runs it, and takes back a crash that was
-- attributed to this instance when it had only lost its connection.
--
-- KEYS  submission, jobs
-- ARGV  job name, instance id, deadline in ms (may be empty)
-- Returns open | closed | expired

local submission, jobs = KEYS[1], KEYS[2]
if redis.call('HGET', submission, 'state') ~= 'running' then return 'closed' end
local text = redis.call('HGET', jobs, ARGV[1])
if text then
  local job = cjson.decode(text)
  local is_running = job.state == 'started' and job.instance == ARGV[2]
  if retract_crash(job, ARGV[2]) or is_running then write_job(jobs, ARGV[1], job) end
end
if ARGV[3] ~= '' and now_ms() > tonumber(ARGV[3]) then return 'expired' end
return 'open'
