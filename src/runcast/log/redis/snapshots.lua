-- Keeps folds' snapshots. ARGV: epoch, fold, version, then {stream, epoch, seq, tag, state} of each.
-- A snapshot of a run that is gone is not kept, nor one that is older than what is there.
if not begin(ARGV[1]) then return gone() end
local fold, version = ARGV[2], ARGV[3]
for at = 4, #ARGV, 5 do
  local stream, seq = ARGV[at], tonumber(ARGV[at + 2])
  local s = load_stream(stream)
  local run = find_run(s, ARGV[at + 1])
  if run then
    local there = call('HGET', root .. 'f:' .. stream, fold)
    local keep = false
    if there then
      local its_version, its_epoch, its_seq = string.match(there, '^(%d+) (%x+) (%d+) ')
      local its_run = its_version == version and find_run(s, its_epoch)
      keep = its_run and (its_run.run > run.run or (its_run.run == run.run and tonumber(its_seq) > seq))
    end
    if not keep then
      call('HSET', root .. 'f:' .. stream, fold,
        version .. ' ' .. ARGV[at + 1] .. ' ' .. ARGV[at + 2] .. ' ' .. ARGV[at + 3] .. ' ' .. ARGV[at + 4])
    end
  end
end
return 1
