-- Saves progress of a crawl job, while the job is open.
--
-- KEYS  submission, progress of the job, jobs
-- ARGV  job name, generation, field, value, counted (0|1)
-- Returns saved | finished | stale | orphaned | closed
--
-- A counted field is counted once, however often it is saved. The progress is deleted when the job is done, or expires
-- after the submission's retention.

local submission, crawled, jobs = KEYS[1], KEYS[2], KEYS[3]

local job, ignored = open_job(submission, jobs, ARGV[1], tonumber(ARGV[2]))
if not job then return ignored end

local is_new = redis.call('HSET', crawled, ARGV[3], ARGV[4]) == 1
redis.call('PEXPIRE', crawled, redis.call('HGET', submission, 'retention_ms'))
if is_new and ARGV[5] == '1' then redis.call('HINCRBY', submission, 'thumbnails', 1) end
return 'saved'
