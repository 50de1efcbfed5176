-- Takes a started mark back: the process lets go of the job on purpose.
--
-- KEYS  jobs
-- ARGV  job name, boot id

local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return 0 end
local job = cjson.decode(text)
local holds = job.state == 'started' and job.boot == ARGV[2]
if holds then job.state = 'released' end
if acquit(job, ARGV[2]) or holds then write_mark(KEYS[1], ARGV[1], job) end
return holds and 1 or 0
