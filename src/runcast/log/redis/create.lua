-- Makes the partition if it is not there. ARGV: epoch if it is to be made, format, partitions, firehose (1 or 0).
-- Returns {epoch, format, partitions, firehose} as they are.
if call('EXISTS', KEYS[1]) == 0 then
  call('HSET', KEYS[1], 'epoch', ARGV[1], 'format', ARGV[2], 'partitions', ARGV[3], 'firehose', ARGV[4],
    'pos', 0, 'gen', 1, 'server', '', 'id', '', 'reserved', 0, 'settled', 0)
end
return call('HMGET', KEYS[1], 'epoch', 'format', 'partitions', 'firehose')
