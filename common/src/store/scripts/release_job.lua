-- Takes a started mark back: the process lets go of the job on purpose.
--
-- KEYS  jobs
-- ARGV  job name, instance id

local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return 0 end
local job = cjson.decode(text)
local holds = job.state == 'started' and job.instance == ARGV[2]
if holds then job.state = 'available' end
if acquit(job, ARGV[2]) or holds then write_job(KEYS[1], ARGV[1], job) end
return holds and 1 or 0
