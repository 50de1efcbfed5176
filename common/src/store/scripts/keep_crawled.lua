-- Keeps something that a crawl job brought in, while the job is open.
--
-- KEYS  submission, what the job brought in, jobs
-- ARGV  job name, generation, field, value, counted (0|1)
-- Returns kept | finished | stale | orphaned | closed
--
-- What counts is counted once, however often it is kept. It is forgotten when the job is done; where that never
-- happens, as long after this as a submission is kept.

local submission, crawled, jobs = KEYS[1], KEYS[2], KEYS[3]
local generation = tonumber(ARGV[2])

local state = redis.call('HGET', submission, 'state')
if not state then return 'orphaned' end
if state ~= 'running' then return 'closed' end
local job = read_mark(jobs, ARGV[1])
if (job.generation or 0) ~= generation then return 'stale' end
if job.state == 'done' or job.state == 'dead' then return 'finished' end

local is_new = redis.call('HSET', crawled, ARGV[3], ARGV[4]) == 1
redis.call('PEXPIRE', crawled, redis.call('HGET', submission, 'retention_ms'))
if is_new and ARGV[5] == '1' then redis.call('HINCRBY', submission, 'thumbnails', 1) end
return 'kept'
