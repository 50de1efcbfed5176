-- Heartbeat of a job being worked on: moves the time of a mark this process still holds, and takes back the
-- crash that it was blamed for when it only lost its connection.
--
-- KEYS  submission, jobs
-- ARGV  job name, instance id, deadline in ms (may be empty)
-- Returns open | closed | expired: whether the work still has a point

local submission, jobs = KEYS[1], KEYS[2]
if redis.call('HGET', submission, 'state') ~= 'running' then return 'closed' end
local text = redis.call('HGET', jobs, ARGV[1])
if text then
  local job = cjson.decode(text)
  local holds = job.state == 'started' and job.instance == ARGV[2]
  if acquit(job, ARGV[2]) or holds then write_job(jobs, ARGV[1], job) end
end
if ARGV[3] ~= '' and now_ms() > tonumber(ARGV[3]) then return 'expired' end
return 'open'
