-- Takes a started mark back: the process lets go of the job on purpose.
--
-- KEYS  jobs
-- ARGV  job name, boot id

local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return 0 end
local job = cjson.decode(text)
if job.state ~= 'started' or job.boot ~= ARGV[2] then return 0 end
job.state = 'released'
write_mark(KEYS[1], ARGV[1], job)
return 1
